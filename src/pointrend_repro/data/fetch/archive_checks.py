"""Reasons not to unpack a ZIP archive, found before its first file is written.

An untrusted archive may name paths outside the folder, links, devices, or one path twice, or may
unpack to far more than it should.
"""

import stat
import unicodedata
import zipfile
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import PureWindowsPath

from pointrend_repro.base.json_text import shown

MAX_MEMBERS = 500_000  # COCO's largest has 118288
MAX_RATIO = 100  # annotations in JSON shrink to a fifth; nothing of ours to a hundredth
MAX_FOLDERS = 100  # nested in each other; Cityscapes has four
MAX_NAME_BYTES = 255  # of a file or folder on ext4, XFS, Btrfs, ZFS, NFS, Lustre and APFS
# `zipfile` unpacks others without a limit, whatever size a member declares.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
TOO_MANY = f"has more than {MAX_MEMBERS} members"


def problem_of(members: Iterable[zipfile.ZipInfo]) -> str | None:
    """Return why an archive must not be unpacked, judging by its list of contents, or None."""
    files: set[str] = set()
    folders: set[str] = set()
    for number, member in enumerate(members, start=1):
        if number > MAX_MEMBERS:
            return TOO_MANY
        if problem := _name_problem(member.orig_filename) or _kind_problem(member):
            return f"{problem}: {shown(member.orig_filename)}"
        key = _disk_name(member.filename)
        if member.is_dir():
            folders.add(key)
        elif key in files:
            return f"has a path twice: {shown(member.orig_filename)}"
        else:
            files.add(key)
    both = _file_and_folder(files, folders)
    return f"has a path both as a file and as a folder: {shown(both)}" if both else None


def _file_and_folder(files: set[str], folders: set[str]) -> str | None:
    """Return a path that is both a file and a folder, or a file with something below it."""
    for path in sorted(files & folders):
        return path
    # When sorted this way, whatever lies below a path follows it directly; keeping all folders of
    # all paths instead would take gigabytes for a malicious archive.
    for path, following in pairwise(sorted(f"{path}/" for path in files | folders)):
        if following.startswith(path) and path[:-1] in files:
            return path[:-1]
    return None


def size_problem(
    members: Sequence[zipfile.ZipInfo], archive_bytes: int, max_bytes: int
) -> str | None:
    """Return why these members are too much to unpack, by their declared sizes, or None."""
    total = sum(member.file_size for member in members)
    if total > max_bytes:
        return f"unpacks to {total} bytes where at most {max_bytes} are expected"
    if total > MAX_RATIO * archive_bytes:
        return f"unpacks to {total} bytes, more than {MAX_RATIO} times its own size"
    return None


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
    if len(parts) > MAX_FOLDERS:
        return f"has a path of more than {MAX_FOLDERS} folders"
    if any(len(part.encode()) > MAX_NAME_BYTES for part in parts):
        return f"has a name of more than {MAX_NAME_BYTES} bytes, which no file system takes"
    return None


def _kind_problem(member: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        return "has a link or a device"
    if member.flag_bits & 0x1:
        return "has an encrypted member"
    if member.compress_type not in _METHODS:
        return "has a member that is compressed by another method than deflate"
    return None


def _disk_name(name: str) -> str:
    """Return a path as macOS compares it, ignoring case and normalising."""
    return unicodedata.normalize("NFC", name.removesuffix("/")).casefold()
