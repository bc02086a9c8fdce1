"""Recognises a folder's layout: Cityscapes' two folders, or COCO files with images somewhere."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from PIL import Image

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.json_text import shown
from pointrend_repro.base.long_list import LongList, read_with_long_list
from pointrend_repro.tools.survey.content import SPLITS, Split

_WORDS: dict[Split, tuple[str, ...]] = {"train": ("train",), "val": ("val", "dev", "test")}
_LISTS = ("images", "annotations", "categories")
# How many of a file's entries are looked up to find where the images lie.
_LOOKED_UP = 1000


@dataclass(frozen=True)
class CocoSplit:
    """A COCO file, its content, and the folder that its file names are relative to.

    Attributes:
        content: its lists; `annotations` stay in the file, and are read when they are gone through.
    """

    annotations: Path
    content: dict[str, Any]
    images_dir: Path


@dataclass(frozen=True)
class CocoFolder:
    """A folder with one COCO file per split."""

    root: Path
    splits: dict[Split, CocoSplit]


@dataclass(frozen=True)
class CityscapesFolder:
    """A folder that holds leftImg8bit/ and gtFine/."""

    root: Path


def find_layout(
    root: Path, *, train: Path | None = None, val: Path | None = None
) -> CocoFolder | CityscapesFolder:
    """Recognise the layout of a folder.

    Args:
        root: the folder.
        train, val: the COCO files of the splits, if their names do not show which is which.

    Raises:
        UserError: it has neither layout, or it is unclear which file belongs to which split.
    """
    root = existing_folder(root)
    folders = list(folders_below(root))
    streets = [f for f, _ in folders if (f / "leftImg8bit").is_dir() and (f / "gtFine").is_dir()]
    if streets and not (train or val):
        return CityscapesFolder(streets[0])
    images = images_by_name(folders)
    paths = split_files(root, json_files(folders), train=train, val=val)
    splits = {}
    for split, path in paths.items():
        content = read_lists(path)
        splits[split] = CocoSplit(path, content, images_dir_of(root, path, content, images, split))
    return CocoFolder(root, splits)


def existing_folder(root: Path) -> Path:
    """Return a folder's path without `..`, since the ends of paths are compared with file names.

    Raises:
        UserError: there is no such folder.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder")
    return root.resolve() if ".." in root.parts else root


def json_files(folders: Sequence[tuple[Path, list[str]]]) -> list[Path]:
    """Return the JSON files in folders."""
    return [f / name for f, names in folders for name in names if name.lower().endswith(".json")]


def split_files(
    root: Path, jsons: Sequence[Path], *, train: Path | None, val: Path | None
) -> dict[Split, Path]:
    """Return the COCO file of each split: the given one, or the one whose name fits.

    Raises:
        UserError: it is unclear, or one file would be both.
    """
    chosen = {"train": train, "val": val}
    paths = {split: chosen[split] or _file_of(split, jsons, root) for split in SPLITS}
    if paths["train"] == paths["val"]:
        raise UserError(
            f"{paths['train']}: would be trained and validated on; name a file for each by --train "
            "FILE and --val FILE"
        )
    return paths


def folders_below(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield all folders with their files, sorted; links are followed, but never in a circle."""
    seen = set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = sorted(s for s in subfolders if not s.startswith((".", "__MACOSX")))
        yield Path(folder), sorted(name for name in names if not name.startswith("."))


def _file_of(split: Split, jsons: Sequence[Path], root: Path) -> Path:
    """The COCO file whose name, or folder's, has one of a split's words; earlier words win."""
    for word in _WORDS[split]:
        by_folder = [path for path in jsons if _has_word(path.relative_to(root), word)]
        named = [path for path in by_folder if _has_word(path.name, word)] or by_folder
        # COCO's own folder also has captions and keypoints for the same split.
        instances = [path for path in named if _has_word(path.name, "instances")]
        found = instances or [path for path in named if is_coco(path)]
        if len(found) > 1:
            names = ", ".join(str(path.relative_to(root)) for path in found[:5])
            raise UserError(f"{root}: has several {split} files: {names}; say --{split} FILE")
        if found:
            return found[0]
    others = [str(p.relative_to(root)) for p in jsons[:100] if is_coco(p)]
    if not others:
        raise UserError(
            f"{root}: holds neither COCO's annotations (a JSON file with the lists "
            f"{', '.join(_LISTS)}) nor Cityscapes' leftImg8bit/ and gtFine/; convert it to COCO's "
            "format first"
        )
    raise UserError(
        f"{root}: no COCO file with {' or '.join(repr(w) for w in _WORDS[split])} in its name or "
        f"folder (found: {', '.join(others[:5])}); say --train FILE and --val FILE, and split the "
        "file in two where there is but one"
    )


def _has_word(path: PurePath | str, *beginnings: str) -> bool:
    return any(word.startswith(beginnings) for word in re.findall(r"[a-z]+", str(path).lower()))


def is_coco(path: Path) -> bool:
    """Whether a JSON file has the lists of a COCO file."""
    content = read_with_long_list(path, "annotations", allow_nan=True)
    return all(_has_list(content, key) for key in _LISTS)


def _has_list(content: Any, key: str) -> bool:
    return isinstance(content, dict) and isinstance(content.get(key), list | LongList)


def read_lists(path: Path) -> dict[str, Any]:
    """Return the content of a COCO file, whose lists may hold anything; see `CocoSplit`.

    Raises:
        UserError: it is not a COCO file.
    """
    content: dict[str, Any] = read_with_long_list(path, "annotations", allow_nan=True)
    for key in _LISTS:
        if not _has_list(content, key):
            raise UserError(f"{path}: has no list {key!r}; give a COCO instances file")
    return content


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


def images_dir_of(
    root: Path,
    annotations: Path,
    content: Mapping[str, Any],
    images: dict[str, list[Path]],
    split: Split,
) -> Path:
    """Return the folder below which most of a file's images lie; in a tie, the one named like it.

    Raises:
        UserError: there is none.
    """
    entries = content["images"][:: len(content["images"]) // _LOOKED_UP + 1]
    names = [
        e["file_name"] for e in entries if isinstance(e, dict) and _is_text(e.get("file_name"))
    ]
    votes = Counter(folder for name in names for folder in _folders_of(name, images))
    if not votes:
        example = f", such as {shown(names[0])}," if names else ""
        raise UserError(
            f"{annotations}: none of its images{example} is below {root}; put them there, or "
            "correct each file_name"
        )

    def rank(folder: Path) -> tuple[int, bool, bool, str]:
        own = _has_word(os.path.relpath(folder, root), *_WORDS[split])
        return -votes[folder], folder != annotations.parent, not own, str(folder)

    return min(votes, key=rank)


def _folders_of(file_name: str, images: dict[str, list[Path]]) -> Iterator[Path]:
    """The folders relative to which an image of this name, with its subfolders, exists."""
    parts = PurePath(os.path.normpath(file_name)).parts
    for folder in images.get(parts[-1], ()):
        path = folder / parts[-1]
        if path.parts[-len(parts) :] == parts:
            yield Path(*path.parts[: -len(parts)])


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and os.path.normpath(value) not in {".", "/"}
