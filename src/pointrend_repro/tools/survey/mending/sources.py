"""The COCO files of a folder and its pictures, also where `find_layout` finds no way."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pointrend_repro.base.errors import UserError
from pointrend_repro.tools.survey.layout import (
    existing_folder,
    folders_below,
    images_by_name,
    images_dir_of,
    is_coco,
    json_files,
    read_lists,
    split_files,
)
from pointrend_repro.tools.survey.mending.entries import Document

# "both": the one file of a folder, to be split in two.
Role = Literal["train", "val", "both"]


@dataclass(frozen=True)
class Source:
    """A COCO file.

    Attributes:
        images_dir: that its file names are relative to; the whole folder where nothing tells.
    """

    path: Path
    document: Document
    images_dir: Path


@dataclass(frozen=True)
class Sources:
    """What lies in a folder.

    Attributes:
        coco: a file for each of train and val, or one alone.
        files: all files below `root`, hidden ones left out.
        pictures: the folders of those that are pictures, by name.
    """

    root: Path
    coco: dict[Role, Source]
    files: tuple[Path, ...]
    pictures: dict[str, list[Path]]


def find_sources(root: Path, *, train: Path | None = None, val: Path | None = None) -> Sources:
    """Find what there is to mend.

    Args:
        root: the folder.
        train, val: the COCO files, where their names do not tell them; twice the same is split.

    Raises:
        UserError: there is no COCO file, or it cannot be told which is which.
    """
    root = existing_folder(root)
    folders = list(folders_below(root))
    if any((f / "leftImg8bit").is_dir() and (f / "gtFine").is_dir() for f, _ in folders):
        raise UserError(f"{root}: is in Cityscapes' format; only COCO's is mended")
    images = images_by_name(folders)
    coco: dict[Role, Source] = {}
    for role, path in _coco_files(root, json_files(folders), train, val).items():
        document = read_lists(path)
        try:
            split = "train" if role == "both" else role
            images_dir = images_dir_of(root, path, document, images, split)
        except UserError:  # none of the names is one of a picture, as it stands
            images_dir = root
        coco[role] = Source(path, document, images_dir)
    return Sources(
        root=root,
        coco=coco,
        files=tuple(folder / name for folder, names in folders for name in names),
        pictures=images,
    )


def _coco_files(
    root: Path, jsons: Sequence[Path], train: Path | None, val: Path | None
) -> dict[Role, Path]:
    train, val = (path and _as_found(path, jsons) for path in (train, val))
    if train is not None and train == val:
        return {"both": train}
    try:
        files = split_files(root, jsons, train=train, val=val)
    except UserError:
        found = [path for path in jsons if is_coco(path)] if train is None is val else []
        if len(found) != 1:
            raise
        return {"both": found[0]}
    return {"train": files["train"], "val": files["val"]}


def _as_found(path: Path, jsons: Sequence[Path]) -> Path:
    """A file's path below the folder, however it was written, if it is there."""
    real = path.resolve()
    return next((found for found in jsons if found.resolve() == real), path)
