"""Checks bytes: size, hashes and, where no hash is published, whether the file is complete."""

import hashlib
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.fetch.catalogue import PIN, RemoteFile
from pointrend_repro.data.fetch.request import Report

_CHUNK_BYTES = 1 << 22
# Pickled by protocol 2: torch.serialization.MAGIC_NUMBER.
_TORCH_MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)


@dataclass(frozen=True)
class Digests:
    """Size and hashes of a file."""

    size_bytes: int
    sha256: str
    md5: str


def digests_of(path: Path, report: Report) -> Digests:
    """Read a file once, chunk by chunk.

    Raises:
        UserError: it cannot be read.
    """
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    done = 0
    try:
        total = path.stat().st_size
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                sha256.update(chunk)
                md5.update(chunk)
                done += len(chunk)
                report(done, total)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    return Digests(done, sha256.hexdigest(), md5.hexdigest())


def wrong_bytes(path: Path, file: RemoteFile, found: Digests) -> str | None:
    """Return the evidence that `path` is not the published file, or None."""
    if file.size_bytes is not None and found.size_bytes != file.size_bytes:
        return f"has {found.size_bytes} bytes, not {file.size_bytes}"
    if file.sha256 != PIN and found.sha256 != file.sha256:
        return f"has sha256 {found.sha256}, not {file.sha256}"
    if file.sha256_prefix and not found.sha256.startswith(file.sha256_prefix):
        told = f"has sha256 {found.sha256}, not {file.sha256_prefix}..."
        return told + _instead("sha256_prefix", found)
    if file.md5 and found.md5 != file.md5:
        return f"has md5 {found.md5}, not {file.md5}"
    if file.md5_prefix and not found.md5.startswith(file.md5_prefix):
        return f"has md5 {found.md5}, not {file.md5_prefix}..." + _instead("md5_prefix", found)
    return _not_whole(path, file)


def _instead(key: str, found: Digests) -> str:
    """Say how to go on if the publisher has named a file wrongly, as happens (mmcv, issue 600)."""
    return (
        f" as its name says (if the name is wrong, put `sha256: {found.sha256}` in the place of "
        f"`sha256` and `{key}` in config/downloads.yaml)"
    )


def _not_whole(path: Path, file: RemoteFile) -> str | None:
    if file.unpack is not None:
        return None if _is_whole_zip(path) else "is not a whole ZIP archive"
    if file.name.endswith(".pkl"):
        with path.open("rb") as stream:
            first = stream.read(1)
            stream.seek(max(path.stat().st_size - 1, 0))
            # The opcodes PROTO and STOP (pickletools).
            if (first, stream.read(1)) != (b"\x80", b"."):
                return "is not a whole pickle"
    # A published hash says more; and PyTorch's files of 2016 are of a third format.
    if file.name.endswith(".pth") and not file.has_published_hash:
        return None if _is_of_pytorch(path) else "is not a whole file of PyTorch"
    return None


def _is_whole_zip(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # a multi-volume archive
        return False


def _is_of_pytorch(path: Path) -> bool:
    """Whether it is an archive, or begins with the number of `torch.save` before PyTorch 1.6."""
    with path.open("rb") as stream:
        first = stream.read(len(_TORCH_MAGIC))
    return first == _TORCH_MAGIC if first[:1] == b"\x80" else _is_whole_zip(path)
