"""ZIP archives, unpacked next to their place and then renamed; unsafe ones are refused whole.

An archive from elsewhere may name paths outside the folder, links, devices, one path twice, or
unpack to far more than it should. All of that is looked for before the first file is written, and
the bytes are counted again while they are.
"""

import glob
import secrets
import shutil
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PureWindowsPath

from pointrend_repro.data.fetch.transfer import Report
from pointrend_repro.errors import UserError
from pointrend_repro.files import write_errors

MAX_MEMBERS = 500_000  # COCO's largest has 118288
MAX_RATIO = 100  # annotations in JSON shrink to a fifth; nothing of ours to a hundredth
_CHUNK_BYTES = 1 << 20
_SUFFIX = ".unpacking"


class UnsafeArchiveError(UserError):
    """An archive that is damaged, or that nobody should unpack."""


def unpack(
    archive: Path,
    into: Path,
    places: Sequence[str],
    *,
    max_bytes: int,
    report: Report,
    check: Callable[[Path], str | None],
) -> None:
    """Put some folders or files of an archive below `into`; those already there stay as they are.

    Args:
        places: paths in the archive; each appears at once and whole, or not at all.
        max_bytes: no more than this is unpacked.
        check: takes the folder that everything was unpacked into, before anything is put in
            place, and returns what is wrong with it, or None.

    Raises:
        UnsafeArchiveError: the archive is damaged or unsafe, or lacks one of `places`; nothing was
            put in place.
        UserError: the disk is full, or not to be written to.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            _refuse(archive, problem_of(opened.infolist()))
            members = [m for m in opened.infolist() if _place_of(m.filename, places)]
            _refuse(archive, _size_problem(members, archive.stat().st_size, max_bytes))
            with write_errors(into):
                folder = _fresh_folder(archive, into)
                try:
                    _unpack_members(opened, members, folder, report)
                    missing = [place for place in places if not (folder / place).exists()]
                    _refuse(archive, f"has no {', '.join(missing)}" if missing else check(folder))
                    for place in places:
                        _put(folder / place, into / place)
                finally:
                    shutil.rmtree(folder, ignore_errors=True)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise UnsafeArchiveError(
            f"{archive}: damaged ({error}); nothing was put in place"
        ) from None


def problem_of(members: Iterable[zipfile.ZipInfo]) -> str | None:
    """Return why an archive must not be unpacked, by its list of contents, or None."""
    files: set[str] = set()
    folders: set[str] = set()
    number = 0
    for number, member in enumerate(members, start=1):
        if number > MAX_MEMBERS:
            return f"has more than {MAX_MEMBERS} members"
        if problem := _name_problem(member.orig_filename) or _kind_problem(member):
            return f"{problem}: {member.orig_filename!r}"
        key = _disk_name(member.filename)
        if member.is_dir():
            folders.add(key)
        elif key in files:
            return f"has a path twice: {member.orig_filename!r}"
        else:
            files.add(key)
        parts = key.split("/")
        folders.update("/".join(parts[:end]) for end in range(1, len(parts)))
    both = sorted(files & folders)
    return f"has a path both as a file and as a folder: {both[0]!r}" if both else None


def _name_problem(name: str) -> str | None:
    parts = name.removesuffix("/").split("/")
    if name.startswith("/") or PureWindowsPath(name).drive:
        return "has an absolute path"
    if ".." in parts:
        return "has a path that climbs out of its folder"
    if "\\" in name or any(unicodedata.category(c) in {"Cc", "Cs"} for c in name):
        return "has a path with a backslash or a control character"
    if "" in parts or "." in parts:
        return "has a path with an empty part"
    return None


def _kind_problem(member: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        return "has a link or a device"
    if member.flag_bits & 0x1:
        return "has an encrypted member"
    return None


def _disk_name(name: str) -> str:
    """What is one and the same path on some disk: macOS ignores case and normalises."""
    return unicodedata.normalize("NFC", name.removesuffix("/")).casefold()


def _size_problem(
    members: Sequence[zipfile.ZipInfo], archive_bytes: int, max_bytes: int
) -> str | None:
    total = sum(member.file_size for member in members)
    if total > max_bytes:
        return f"unpacks to {total} bytes where at most {max_bytes} are expected"
    if total > MAX_RATIO * archive_bytes:
        return f"unpacks to {total} bytes, more than {MAX_RATIO} times its own size"
    return None


def _refuse(archive: Path, problem: str | None) -> None:
    if problem:
        raise UnsafeArchiveError(
            f"{archive}: refused, since it {problem}; nothing was put in place"
        )


def _place_of(name: str, places: Sequence[str]) -> str | None:
    return next((p for p in places if name == p or name.startswith(f"{p}/")), None)


def _fresh_folder(archive: Path, into: Path) -> Path:
    for left_by_a_kill in into.glob(f".{glob.escape(archive.name)}.*{_SUFFIX}"):
        shutil.rmtree(left_by_a_kill, ignore_errors=True)
    folder = into / f".{archive.name}.{secrets.token_hex(4)}{_SUFFIX}"
    folder.mkdir(parents=True)
    return folder


def _unpack_members(
    opened: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo], folder: Path, report: Report
) -> None:
    total, done = sum(m.file_size for m in members), 0
    for member in members:
        target = folder / member.filename
        if member.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        done += _unpack_file(opened, member, target)
        report(done, total)


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
