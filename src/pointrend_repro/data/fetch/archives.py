"""ZIP archives, unpacked beside their destination and then renamed; unsafe ones are refused whole.

The list of contents is checked before the first file is written (`archive_checks`), and bytes are
counted again as they are unpacked.
"""

import contextlib
import errno
import glob
import io
import os
import secrets
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import write_errors
from pointrend_repro.base.json_text import shown
from pointrend_repro.data.fetch import archive_checks
from pointrend_repro.data.fetch.archive_checks import problem_of, size_problem
from pointrend_repro.data.fetch.request import Report

# A name that is not UTF-8 is a ValueError, and patched data, which `zipfile` lacks, a RuntimeError.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    RuntimeError,
    OverflowError,
    MemoryError,
)
_CHUNK_BYTES = 1 << 20
_SUFFIX = ".unpacking"
# COCO's largest archive has 100 bytes per member in its list of contents.
_MAX_LIST_BYTES = 512 * archive_checks.MAX_MEMBERS
_ENTRY = b"PK\x01\x02"  # how each member's entry in it begins (APPNOTE.TXT 4.3.12)
# The errors of a file system for a name that it cannot store.
_NAME_ERRORS = {errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ}


class UnsafeArchiveError(UserError):
    """An archive that is damaged, or that is not safe to unpack."""


def unpack(
    archive: Path,
    into: Path,
    places: Sequence[str],
    *,
    name: str,
    max_bytes: int,
    report: Report,
    check: Callable[[Path], str | None],
) -> None:
    """Put some folders or files of an archive below `into`; existing ones stay as they are.

    Args:
        places: paths in the archive; each appears whole, or not at all.
        name: after which the folder is called that everything is unpacked into at first. What
            others have left under it is removed, so no other process may use it meanwhile.
        max_bytes: the most that is unpacked.
        check: takes the folder that everything was unpacked into, before anything is moved to its
            place, and returns what is wrong with it, or None.

    Raises:
        UnsafeArchiveError: the archive is damaged or unsafe, or lacks one of `places`; nothing was
            put in place.
        UserError: the disk is full or cannot be written to.
    """
    with (
        _reporting_damage(archive),
        _ListBounded(archive) as stream,
        zipfile.ZipFile(stream) as opened,
    ):
        _refuse(archive, problem_of(opened.infolist()))
        members = [m for m in opened.infolist() if _place_of(m.filename, places)]
        _refuse(archive, size_problem(members, archive.stat().st_size, max_bytes))
        with write_errors(into):
            folder = _fresh_folder(into, name)
            try:
                _unpack_members(opened, members, folder, report)
                missing = [place for place in places if not (folder / place).exists()]
                _refuse(archive, f"has no {', '.join(missing)}" if missing else check(folder))
                # Or a power failure leaves empty files in place, and no archive any more. At once:
                # each of COCO's 118287 images alone would take minutes.
                os.sync()
                for place in places:
                    _put(folder / place, into / place)
            finally:
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _reporting_damage(archive: Path) -> Iterator[None]:
    """Turn the errors of `zipfile` and its decompressors into one line."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise UserError(f"{archive}: cannot be read: {error.strerror}") from None
        _refuse_damaged(archive, error)  # of the content, not of the system
    except _DAMAGE as error:
        _refuse_damaged(archive, error)


def _refuse_damaged(archive: Path, error: Exception) -> NoReturn:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    raise UnsafeArchiveError(f"{archive}: damaged ({reason}); nothing was put in place") from None


class _ListBounded(io.BufferedReader):
    """An archive's file that refuses to return an unreasonably long list of contents.

    `zipfile` reads the whole list at once, and makes an object for each member before they can
    be checked: a gigabyte for a list of 50 MB.
    """

    def __init__(self, archive: Path) -> None:
        super().__init__(io.FileIO(archive))
        self._archive = archive

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MAX_LIST_BYTES:
            _refuse(self._archive, f"has a list of contents of {size} bytes")
        content = super().read(size)
        is_list = content.startswith(_ENTRY)
        if is_list and content.count(_ENTRY) > archive_checks.MAX_MEMBERS:
            _refuse(self._archive, archive_checks.TOO_MANY)
        return content


def _refuse(archive: Path, problem: str | None) -> None:
    if problem:
        raise UnsafeArchiveError(
            f"{archive}: refused, since it {problem}; nothing was put in place"
        )


def _place_of(name: str, places: Sequence[str]) -> str | None:
    return next((p for p in places if name == p or name.startswith(f"{p}/")), None)


def left_by_kills(into: Path, name: str) -> list[Path]:
    """Return the folders below `into` in which killed processes have unpacked under a name."""
    return sorted(into.glob(f".{glob.escape(name)}.*{_SUFFIX}"))


def _fresh_folder(into: Path, name: str) -> Path:
    for left in left_by_kills(into, name):
        shutil.rmtree(left, ignore_errors=True)
    folder = into / f".{name}.{secrets.token_hex(4)}{_SUFFIX}"
    folder.mkdir(parents=True)
    return folder


def _unpack_members(
    opened: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo], folder: Path, report: Report
) -> None:
    total, done = sum(m.file_size for m in members), 0
    for member in members:
        target = folder / member.filename
        with _naming_bad_names(opened, member):
            (target if member.is_dir() else target.parent).mkdir(parents=True, exist_ok=True)
            if not member.is_dir():
                done += _unpack_file(opened, member, target)
        report(done, total)


@contextlib.contextmanager
def _naming_bad_names(opened: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[None]:
    """Name the archive and the member where the system only says that a name is too long."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NAME_ERRORS:
            raise
        raise UserError(
            f"{opened.filename}: cannot be unpacked here: {error.strerror}: "
            f"{shown(member.filename)}; nothing was put in place"
        ) from None


def _unpack_file(opened: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> int:
    written = 0
    with opened.open(member) as source, target.open("xb") as stream:
        while chunk := source.read(_CHUNK_BYTES):
            written += len(chunk)
            if written > member.file_size:
                raise zipfile.BadZipFile(f"{member.filename} is longer than declared")
            stream.write(chunk)
    if written != member.file_size:
        raise zipfile.BadZipFile(f"{member.filename} is shorter than declared")
    return written


def _put(source: Path, target: Path) -> None:
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
