"""PyTorch files, opened so that they run nothing and take no more memory than they hold.

`torch.load(weights_only=True)` calls only PyTorch's own functions, yet some of those make tensors
of any size, or of uninitialised memory; and it unpacks whatever an archive says. So a file's pickle
is first run with stand-ins (`torch_pickles.py`), and archives are unpacked here.
"""

import io
import pickle
import re
import tarfile
import warnings
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch

from pointrend_repro.base.errors import UserError, printable_line
from pointrend_repro.checkpoints.limits import RefusedError
from pointrend_repro.checkpoints.torch_pickles import check_archived_pickle, check_old_pickles

_ZIP = b"PK\x03\x04"
# `torch.save` does not compress, and other tools compress weights by about a tenth.
_MOST_UNPACKED = 4
_SPARE_BYTES = 16 << 20
# The methods that `zipfile` unpacks no further than it is asked to.
_BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read_torch_file(path: Path) -> Any:
    """Read what `torch.save` wrote, in its current format or in that before PyTorch 1.6.

    Raises:
        UserError: the file is missing or damaged (in archives also by a wrong checksum), is another
            kind of file, asks for more than tensors and plain values, or for more memory than its
            size explains.
    """
    try:
        with path.open("rb") as file:
            return _read(file, path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder, not a checkpoint") from None
    except UserError:
        raise
    except (RefusedError, pickle.UnpicklingError) as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        asked = printable_line(found[1] if found else error)
        raise UserError(
            f"{path}: refused, since it asks for {asked}: a checkpoint needs only tensors and "
            "plain containers; do not open this file by other means"
        ) from None
    except Exception as error:  # a damaged archive fails in many ways
        raise UserError(
            f"{path}: not a whole PyTorch file ({type(error).__name__}); "
            "it may be truncated: fetch it again"
        ) from None


def _read(file: BinaryIO, path: Path) -> Any:
    size = path.stat().st_size
    begins = file.read(len(_ZIP))
    file.seek(0)
    if begins == _ZIP:
        return _load(_unpacked(file, size, path))
    if _begins_as_tar(file):
        raise UserError(f"{path}: is in PyTorch's format of 2016, which cannot be opened safely")
    check_old_pickles(file, size)
    file.seek(0)
    return _load(file)


def _begins_as_tar(file: BinaryIO) -> bool:
    """Whether a tar file's first header is there; `tarfile.open` would unpack compressed ones."""
    header = file.read(tarfile.BLOCKSIZE)
    file.seek(0)
    try:
        tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _load(file: BinaryIO) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pickle protocols and sparse tensors
        return torch.load(file, map_location="cpu", weights_only=True)


def _unpacked(file: BinaryIO, size: int, path: Path) -> BinaryIO:
    """Return an archive of our own with the same content, so that all readers see the same.

    PyTorch finds members by other rules than Python, and ignores wrong checksums.
    """
    unpacked = io.BytesIO()
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(unpacked, "w") as ours:
        sizes = {member.filename: member.file_size for member in archive.infolist()}
        if any(member.compress_type not in _BOUNDED for member in archive.infolist()):
            raise UserError(
                f"{path}: is compressed by another method than deflate, for which the memory it "
                "takes has no limit; load it in PyTorch where it came from, and save it again"
            )
        if sum(m.file_size for m in archive.infolist()) > _MOST_UNPACKED * size + _SPARE_BYTES:
            raise RefusedError("more memory than its size explains")
        if len({name.lower() for name in sizes}) < len(archive.infolist()):
            raise RefusedError("two members of one name")
        prefix = next(iter(sizes), "").split("/")[0]
        if f"{prefix}/constants.pkl" in sizes:
            raise UserError(f"{path}: is a TorchScript program, not a file of weights")
        if f"{prefix}/data.pkl" not in sizes:
            raise UserError(f"{path}: an archive without data.pkl is not a PyTorch file")
        storages = {name.removeprefix(f"{prefix}/data/"): n for name, n in sizes.items()}
        check_archived_pickle(_content(archive, f"{prefix}/data.pkl"), storages)
        for name in sizes:
            ours.writestr(name, _content(archive, name))
    unpacked.seek(0)
    return unpacked


def _content(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return a member of exactly its declared size, which `ZipFile.read` unpacks past."""
    size = archive.getinfo(name).file_size
    with archive.open(name) as member:
        content = member.read(size + 1)  # to its end, where the checksum is compared
    if len(content) != size:
        raise zipfile.BadZipFile(f"{name} is shorter than declared")
    return content
