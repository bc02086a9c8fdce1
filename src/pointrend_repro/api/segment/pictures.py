"""Which pictures a person means: files, folders, and patterns such as `holiday/**/*.jpg`."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pointrend_repro.api.segment.places import OWN_FOLDERS, is_gallery
from pointrend_repro.base.errors import UserError

# What cameras, phones and browsers save, of what Pillow opens.
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif"})
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
    """

    path: Path
    name: str


def find_pictures(places: Sequence[str], output: Path) -> list[Picture]:
    """Return the pictures at some places, each once, in the order of the places.

    Args:
        places: files; folders, whose pictures are taken in the order of their names, without those
            of folders inside; and patterns of `*`, `?`, `[...]` and `**`. A file that is named is
            taken whatever its suffix. Of folders and patterns also what only looks like a picture
            is taken, such as a link that leads nowhere: it is for the caller to tell.
        output: where what is found will lie; if it is a gallery, patterns leave out what it made.

    Raises:
        UserError: nothing is there, or a folder or pattern has no picture of the user's.
    """
    own = [(output / name).resolve() for name in OWN_FOLDERS] if is_gallery(output) else []
    paths: dict[str, Path] = {}
    for place in places:
        for path in _at(place, own):
            paths.setdefault(os.path.realpath(path), path)
    return [Picture(path, name) for path, name in _named(list(paths.values()))]


def _at(place: str, own: Sequence[Path]) -> list[Path]:
    path = Path(place)
    if path.is_dir():
        found = _pictures(path.iterdir())
        if not found:
            raise UserError(f"{place}: this folder has no pictures ({_known_suffixes()})")
        return found
    if path.exists():
        return [path]
    if _MAGIC & set(place):
        fitting = _pictures(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
        found = [path for path in fitting if not _is_below(path, own)]
        if fitting and not found:
            raise UserError(f"{place}: this pattern fits only what `segment` made; choose another")
        if not found:
            raise UserError(f"{place}: this pattern fits no picture ({_known_suffixes()})")
        return found
    raise UserError(f"{place}: there is no such picture or folder")


def _is_below(path: Path, folders: Sequence[Path]) -> bool:
    parent = path.parent.resolve()
    return any(parent.is_relative_to(folder) for folder in folders)


def _pictures(paths: Iterable[Path]) -> list[Path]:
    # Hidden files are thumbnails and leftovers of systems, such as macOS's `._IMG_1.jpg`.
    return sorted(
        path
        for path in paths
        if path.suffix.lower() in SUFFIXES | UNREAD_SUFFIXES
        and path.name[0] != "."
        and (path.is_file() or leads_nowhere(path))
    )


def leads_nowhere(path: Path) -> bool:
    """Whether a path is a link to what is not there."""
    return path.is_symlink() and not path.exists()


def _named(paths: list[Path]) -> Iterable[tuple[Path, str]]:
    # Compared in lower case: not every disk tells A.jpg from a.jpg.
    taken: set[str] = set()
    for path in paths:
        name, number = path.stem, 1
        while name.lower() in taken:
            number += 1
            name = f"{path.stem}_{number}"
        taken.add(name.lower())
        yield path, name


def _known_suffixes() -> str:
    return ", ".join(sorted(SUFFIXES))
