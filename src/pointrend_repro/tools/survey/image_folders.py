"""The folder that the file names of a COCO file are relative to, which the file does not say."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any

from PIL import Image

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.coco_checks import meant_files
from pointrend_repro.tools.survey.content import Split
from pointrend_repro.tools.survey.split_words import WORDS, has_word

# How many of a file's entries are looked up.
_LOOKED_UP = 1000
# None is named: they are looked for.
NO_IMAGES: Mapping[Split, Path] = MappingProxyType({})


def images_by_name(folders: Sequence[tuple[Path, list[str]]]) -> dict[str, list[Path]]:
    """Return, for each image file name, the folders that have one."""
    Image.init()
    endings = set(Image.EXTENSION)
    found = defaultdict(list)
    for folder, names in folders:
        for name in names:
            if PurePath(name).suffix.lower() in endings:
                found[name].append(folder)
    return found


def given_folder(folder: Path | None, root: Path) -> Path | None:
    """Return the folder that was named for images, as a path that begins with `root`.

    Raises:
        UserError: it does not exist, or is not below `root`, which becomes the data set's.
    """
    if folder is None:
        return None
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; name the folder of the images")
    # A link below `root` may lead out of it, and `root` itself may be reached by one.
    for path, top in ((folder.absolute(), root.absolute()), (folder.resolve(), root.resolve())):
        if ".." not in path.parts and path.is_relative_to(top):
            return root / path.relative_to(top)
    raise UserError(f"{folder}: is not below {root}; name a folder there")


def file_names(images: Sequence[Any]) -> Iterator[str]:
    """Yield the file names of a file's list of images, without those that cannot be any."""
    for entry in images:
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if isinstance(name, str) and os.path.normpath(name) not in {".", "/"}:
            yield name


def images_dir_of(
    root: Path,
    annotations: Path,
    images: Sequence[Any],
    by_name: Mapping[str, Sequence[Path]],
    split: Split | None,
) -> Path | None:
    """Return the folder below which a file's images lie, or None if there are none.

    Other folders may have files of the same names: those of the other split, if both number their
    frames alike, or masks, and these may even be complete where images are missing. So of the
    folders that have most of the names, the one with the annotations and the one that is called
    like the split come first, and where neither is among them, none is chosen.

    Args:
        images: the file's list.
        by_name: from `images_by_name`.
        split: None for a file that is not that of a split.

    Raises:
        UserError: there are several, and nothing tells which is meant.
    """
    names = list(file_names(images[:: len(images) // _LOOKED_UP + 1]))
    votes = Counter(folder for name in names for folder in _folders_of(name, by_name))
    if not votes:
        return None

    def likeness(folder: Path) -> tuple[int, int]:
        words = WORDS[split] if split else ()
        below = os.path.relpath(folder, root)
        named = next((len(words) - k for k, word in enumerate(words) if has_word(below, word)), 0)
        return (folder == annotations.parent) + (named > 0), named

    most = [folder for folder in votes if 2 * votes[folder] > len(names)]
    if not most:  # the others are named by what is missing
        return max(sorted(votes), key=lambda folder: (votes[folder], likeness(folder)))
    best = max(map(likeness, most))
    rivals = [folder for folder in most if likeness(folder) == best]
    # A folder that comes first may have lost most of its images.
    rivals += [folder for folder in votes if likeness(folder) > best]
    if len(rivals) > 1:
        raise UserError(_unclear(annotations, sorted(rivals), votes, len(names), root, split))
    return rivals[0]


def _unclear(
    annotations: Path,
    rivals: Sequence[Path],
    votes: Mapping[Path, int],
    count: int,
    root: Path,
    split: Split | None,
) -> str:
    told = " and ".join(
        f"{os.path.relpath(folder, root)} ({votes[folder]} of {count})" for folder in rivals[:4]
    )
    return (
        f"{annotations}: images of its names are in {told}; say which folder is meant by "
        f"--{split or 'train'}-images FOLDER"
    )


def _folders_of(file_name: str, by_name: Mapping[str, Sequence[Path]]) -> Iterator[Path]:
    """The folders relative to which an image of this name, with its subfolders, exists."""
    if PurePath(file_name).is_absolute():
        return  # it means the same from any folder
    *above, last = PurePath(os.path.normpath(file_name)).parts
    for name in meant_files(last):
        parts = (*above, name)
        for folder in by_name.get(name, ()):
            path = folder / name
            if path.parts[-len(parts) :] == parts:
                yield Path(*path.parts[: -len(parts)])
