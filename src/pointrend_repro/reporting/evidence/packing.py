"""The metric files of a run in one small archive, each with all records and resamples.

Unpacked into a clone (`tar -xmf`), they are what the pipeline left: the claims are judged again
without a training, and Snakemake trains only what is missing. The archive holds no times, so that
the same results give the same bytes. Files are kept byte for byte: each has a digest of its own
numbers, and without it they would count as edited.
"""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import atomic_path


def pack(folder: Path, paths: Iterable[str], output: Path) -> None:
    """Write files of a folder into `output`, a `.tar.xz`, below `results/<the folder's name>`.

    Args:
        paths: relative to `folder`, with forward slashes.

    Raises:
        UserError: a file cannot be read.
    """
    contents = {path: _read(folder / path) for path in sorted(set(paths))}
    with atomic_path(output) as part, tarfile.open(part, mode="w:xz", preset=9) as archive:
        for path, content in contents.items():
            member = tarfile.TarInfo(str(PurePosixPath("results", folder.name, path)))
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
