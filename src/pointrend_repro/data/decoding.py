"""Pillow on files from outside: whatever is wrong with one is reported in one line."""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageFile, UnidentifiedImageError

from pointrend_repro.base.errors import UserError

# Pillow warns of half as many pixels as it refuses. Such pictures are read, and there is nothing to
# warn of. Filters that are put back after each file would, in threads, be put back by the wrong
# one, and would make Python repeat all other warnings, which it gives once.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


@contextlib.contextmanager
def opened_picture(path: Path, *, otherwise: str, advice: str) -> Iterator[ImageFile.ImageFile]:
    """Open an image file, to be decoded in the block; do nothing else there.

    Args:
        otherwise: what to call a file that Pillow cannot read, such as `not a whole image`.
        advice: what to do about it.

    Raises:
        UserError: the file is missing, may not be read, is not an image, damaged, or has more
            pixels than Pillow accepts (twice `Image.MAX_IMAGE_PIXELS`).
    """
    try:
        # Given a path, Pillow maps the pixels of some files into memory, by their turned size: grey
        # TIFFs that lie on their side are then scrambled (Pillow 11 to 13).
        with path.open("rb") as file, Image.open(file) as image:
            yield image
    except UserError:
        raise
    except Image.DecompressionBombError:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise UserError(
            f"{path}: has more than {most} pixels, which is not read; make it smaller"
        ) from None
    except PermissionError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnidentifiedImageError:
        raise UserError(f"{path}: {otherwise} (of no format that is known); {advice}") from None
    except MemoryError:
        raise UserError(f"{path}: needs more memory than there is; make it smaller") from None
    # Pillow's decoders report broken files by OSError, SyntaxError (PNG), ValueError, RuntimeError
    # (AVIF), NotImplementedError (DDS), struct.error and others.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path}: {otherwise} ({reason}); {advice}") from None
