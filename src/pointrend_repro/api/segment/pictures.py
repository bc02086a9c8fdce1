"""Which pictures a person means: files, folders, and patterns such as `holiday/**/*.jpg`."""

import os
import stat
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from pointrend_repro.api.segment.earlier import earlier_pictures
from pointrend_repro.api.segment.naming import names_for
from pointrend_repro.api.segment.places import OWN_FOLDERS, is_gallery
from pointrend_repro.base.errors import UserError

# What cameras, phones, browsers and scientific tools save, of what Pillow opens.
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".avif", ".gif", ".bmp"}
    | {".tif", ".tiff", ".tga", ".jp2", ".j2k", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm"}
)
# What they save, too, and Pillow does not open, or opens at the size of a preview (raw files).
UNREAD_SUFFIXES = frozenset(
    {".heic", ".heif", ".hif", ".jxl"}
    | {".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".iiq", ".nef", ".nrw", ".orf"}
    | {".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srw", ".x3f"}
)
_MAGIC = frozenset("*?[")


@dataclass(frozen=True)
class Picture:
    """A picture to look at.

    Attributes:
        path: as the person wrote it, or as found below the folder that they wrote.
        name: begins the names of the files that are made of it; no other picture has it.
        is_named: whether this call names it; otherwise an earlier one did.
    """

    path: Path
    name: str
    is_named: bool = True


@dataclass(frozen=True)
class Found:
    """What lies at the places that a person named.

    Attributes:
        pictures: those of earlier calls first, so that their numbers stay, then the new ones.
        gone: how many pictures of the gallery are there no more.
        passed_over: how many files of the folders are no pictures by their suffixes, of each.
    """

    pictures: list[Picture]
    gone: int
    passed_over: Counter[str]


def find_pictures(places: Sequence[str], output: Path) -> Found:
    """Return the pictures at some places, each once, in the order of the places.

    Args:
        places: files; folders, whose pictures are taken in the order of their names, without those
            of folders inside; and patterns of `*`, `?`, `[...]` and `**`. A file that is named is
            taken whatever its suffix. Of folders and patterns also what only looks like a picture
            is taken, such as a link that leads nowhere: it is for the caller to tell.
        output: where what is found will lie. If it is a gallery, its pictures are taken, too, and
            patterns leave out what `segment` made there.

    Raises:
        UserError: nothing is there, it cannot be read, or a folder or pattern has no picture of
            the user's.
    """
    own = [(output / name).resolve() for name in OWN_FOLDERS] if is_gallery(output) else []
    paths: dict[str, Path] = {}
    passed_over: Counter[str] = Counter()
    for place in places:
        for path in _at(place, own, passed_over):
            paths.setdefault(os.path.realpath(path), path)
    earlier = earlier_pictures(output)
    pictures = [
        Picture(paths.pop(each.real, each.path), each.name, is_named)
        for each in earlier.pictures
        for is_named in [each.real in paths]
    ]
    taken = [*(each.name for each in earlier.pictures), *earlier.gone]
    names = names_for(paths.values(), taken=taken)
    new = [Picture(path, name) for path, name in zip(paths.values(), names, strict=True)]
    return Found(pictures + new, len(earlier.shown.intersection(earlier.gone)), passed_over)


def _at(place: str, own: Sequence[Path], passed_over: Counter[str]) -> list[Path]:
    if not place:
        raise UserError("a picture or folder has an empty name; is a variable of the shell unset?")
    # The shell leaves ~ as it is in quotes, where patterns belong.
    path = Path(place if os.path.lexists(place) else os.path.expanduser(place))  # noqa: PTH111
    try:
        if path.is_dir():
            return _in_folder(path, place, passed_over)
        if path.exists():
            return [path]
    except OSError as error:
        raise UserError(f"{place}: cannot be read: {error.strerror}") from None
    if _MAGIC & set(place):
        return _fitting(path, place, own)
    raise UserError(f"{place}: there is no such picture or folder")


def _in_folder(path: Path, place: str, passed_over: Counter[str]) -> list[Path]:
    files = [each for each in path.iterdir() if each.name[0] != "." and _may_be_file(each)]
    found = _pictures(files)
    others = Counter(
        each.suffix.lower() or "without a suffix" for each in set(files).difference(found)
    )
    if not found:
        beside = f", only {in_words(others)}" if others else ""
        raise UserError(f"{place}: this folder has no pictures{beside} ({_known_suffixes()})")
    passed_over.update(others)
    return found


def _fitting(path: Path, place: str, own: Sequence[Path]) -> list[Path]:
    try:
        paths = list(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    except ValueError as error:  # such as `**.jpg`
        raise UserError(f"{place}: {error}") from None
    fitting = [
        each for each in _pictures(paths) if not _is_hidden(each, path) and _may_be_file(each)
    ]
    found = [each for each in fitting if not _is_below(each, own)]
    if fitting and not found:
        raise UserError(f"{place}: this pattern fits only what `segment` made; choose another")
    if not found:
        raise UserError(f"{place}: this pattern fits no picture ({_known_suffixes()})")
    return found


def in_words(suffixes: Counter[str]) -> str:
    """Say how many files have which suffixes, the most frequent ones first."""
    most = suffixes.most_common(5)
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in most)
    count = suffixes.total()
    more = ", ..." if len(suffixes) > len(most) else ""
    return f"{count} other file{'' if count == 1 else 's'} ({kinds}{more})"


def _is_below(path: Path, folders: Sequence[Path]) -> bool:
    parent = path.parent.resolve()
    return any(parent.is_relative_to(folder) for folder in folders)


def _is_hidden(path: Path, pattern: Path) -> bool:
    """Whether a path is hidden, or in a hidden folder, other than those that a pattern names."""
    asked = [part for part in pattern.parts if part[0] == "."]
    return any(
        part[0] == "." and not any(fnmatchcase(part, each) for each in asked) for part in path.parts
    )


def _pictures(paths: Iterable[Path]) -> list[Path]:
    # Hidden files are thumbnails and leftovers of systems, such as macOS's `._IMG_1.jpg`.
    return sorted(
        path
        for path in paths
        if path.suffix.lower() in SUFFIXES | UNREAD_SUFFIXES and path.name[0] != "."
    )


def _may_be_file(path: Path) -> bool:
    """Whether a path is a file, or cannot be looked at, which is for the caller to tell."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return path.is_symlink()  # if not, it was removed just now
    except OSError:
        return True


def _known_suffixes() -> str:
    return ", ".join(sorted(SUFFIXES))
