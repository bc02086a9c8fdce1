"""Recognises a folder's layout: Cityscapes' two folders, or COCO files with images somewhere."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePath
from typing import Any

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import reading_errors
from pointrend_repro.base.json_text import parse_json, shown
from pointrend_repro.base.long_list import LongList, read_with_long_list
from pointrend_repro.tools.survey.content import SPLITS, Split
from pointrend_repro.tools.survey.image_folders import (
    NO_IMAGES,
    file_names,
    given_folder,
    images_by_name,
    images_dir_of,
)
from pointrend_repro.tools.survey.split_words import WORDS, has_word

_LISTS = ("images", "annotations", "categories")
_LONGEST_LINE = 1_000_000  # of a log


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
    root: Path,
    *,
    train: Path | None = None,
    val: Path | None = None,
    images: Mapping[Split, Path] = NO_IMAGES,
) -> CocoFolder | CityscapesFolder:
    """Recognise the layout of a folder.

    Args:
        root: the folder.
        train, val: the COCO files of the splits, if their names do not show which is which.
        images: the folders of their images, if the names in the files do not show which.

    Raises:
        UserError: it has neither layout, or it is unclear which file belongs to which split, or
            in which folder its images are.
    """
    root = existing_folder(root)
    folders = list(folders_below(root))
    streets = [f for f, _ in folders if (f / "leftImg8bit").is_dir() and (f / "gtFine").is_dir()]
    if streets and not (train or val or images):
        return CityscapesFolder(streets[0])
    by_name = images_by_name(folders)
    paths = split_files(root, json_files(folders), train=train, val=val)
    splits = {}
    for split, path in paths.items():
        content = read_lists(path)
        found = given_folder(images.get(split), root)
        found = found or images_dir_of(root, path, content["images"], by_name, split)
        if found is None:
            raise UserError(
                f"{path}: none of its images{_example(content)} is below {root}; put them there, "
                "or correct each file_name"
            )
        splits[split] = CocoSplit(path, content, found)
    return CocoFolder(root, splits)


def _example(content: Mapping[str, Any]) -> str:
    name = next(file_names(content["images"]), None)
    if name is None:
        return ""
    return f", such as {shown(name)}{' (a full path)' if PurePath(name).is_absolute() else ''},"


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
    for word in WORDS[split]:
        by_folder = [path for path in jsons if has_word(path.relative_to(root), word)]
        named = [path for path in by_folder if has_word(path.name, word)] or by_folder
        # COCO's own folder also has captions and keypoints for the same split.
        instances = [path for path in named if has_word(path.name, "instances")]
        found = instances or [path for path in named if is_coco(path)]
        if len(found) > 1:
            names = ", ".join(str(path.relative_to(root)) for path in found[:5])
            raise UserError(f"{root}: has several {split} files: {names}; say --{split} FILE")
        if found:
            return found[0]
    others = [str(p.relative_to(root)) for p in islice(filter(is_coco, jsons), 5)]
    if not others:
        raise UserError(
            f"{root}: holds neither COCO's annotations (a JSON file with the lists "
            f"{', '.join(_LISTS)}) nor Cityscapes' leftImg8bit/ and gtFine/; convert it to COCO's "
            "format first"
        )
    raise UserError(
        f"{root}: no COCO file with {' or '.join(repr(w) for w in WORDS[split])} in its name or "
        f"folder (found: {', '.join(others)}); say --train FILE and --val FILE, and split the "
        "file in two where there is but one"
    )


def is_coco(path: Path) -> bool:
    """Whether a JSON file has the lists of a COCO file.

    Raises:
        UserError: it is not whole. It may be the one that is meant, and another one an old copy.
    """
    if _is_log(path):
        return False
    content = read_with_long_list(path, "annotations", allow_nan=True)
    return all(_has_list(content, key) for key in _LISTS)


def _is_log(path: Path) -> bool:
    """Whether a file has a JSON text in each line, as logs of trainings have."""
    with reading_errors(path), path.open("rb") as file:
        first, second = (file.readline(_LONGEST_LINE) for _ in range(2))
    try:
        parse_json(first, allow_nan=True)
    except ValueError:
        return False
    return bool(second.strip())


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
