"""Pillow on files from outside: whatever is wrong with one ends in one line that says what."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageFile

from pointrend_repro.base.errors import UserError


@contextlib.contextmanager
def opened_picture(path: Path, *, otherwise: str, advice: str) -> Iterator[ImageFile.ImageFile]:
    """Open a picture, to be decoded in the block and nothing else.

    Args:
        otherwise: what to call a file that Pillow cannot read, such as `not a whole image`.
        advice: what to do about it.

    Raises:
        UserError: the file is missing, is no picture, is damaged, or has more pixels than Pillow
            takes for meant (twice `Image.MAX_IMAGE_PIXELS`).
    """
    try:
        with Image.open(path) as image:
            yield image
    except UserError:
        raise
    except Image.DecompressionBombError:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise UserError(
            f"{path}: has more than {most} pixels, which is not read; make it smaller"
        ) from None
    # Its decoders tell broken files by OSError, SyntaxError (PNG), ValueError, RuntimeError
    # (AVIF), NotImplementedError (DDS), struct.error and others.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path}: {otherwise} ({reason}); {advice}") from None
