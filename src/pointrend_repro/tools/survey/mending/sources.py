"""The COCO files of a folder and its images, even where `find_layout` fails."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pointrend_repro.base.errors import UserError
from pointrend_repro.tools.survey.content import Split
from pointrend_repro.tools.survey.image_folders import (
    NO_IMAGES,
    given_folder,
    images_by_name,
    images_dir_of,
)
from pointrend_repro.tools.survey.layout import (
    existing_folder,
    folders_below,
    is_coco,
    json_files,
    read_lists,
    split_files,
)
from pointrend_repro.tools.survey.mending.entries import Document
from pointrend_repro.tools.survey.split_words import WORDS, has_word

# "both": the only file of a folder, to be split in two.
Role = Literal["train", "val", "both"]


@dataclass(frozen=True)
class Source:
    """A COCO file.

    Attributes:
        images_dir: the folder that its file names are relative to; the whole folder if no name, as
            written, is that of an image.
    """

    path: Path
    document: Document
    images_dir: Path


@dataclass(frozen=True)
class Sources:
    """The content of a folder.

    Attributes:
        coco: one file each for train and val, or a single one.
        files: all files below `root`, except hidden ones.
        pictures: the folders of the image files, by name.
    """

    root: Path
    coco: dict[Role, Source]
    files: tuple[Path, ...]
    pictures: dict[str, list[Path]]


def find_sources(
    root: Path,
    *,
    train: Path | None = None,
    val: Path | None = None,
    images: Mapping[Split, Path] = NO_IMAGES,
) -> Sources:
    """Find what can be corrected.

    Args:
        root: the folder.
        train, val: the COCO files, if their names do not show which is which; the same file twice
            is split, and so is `train` where no file is that of val.
        images: as in `find_layout`; those of a single file are `train`.

    Raises:
        UserError: there is no COCO file, or it is unclear which is which, or where its images are.
    """
    root = existing_folder(root)
    folders = list(folders_below(root))
    if any((f / "leftImg8bit").is_dir() and (f / "gtFine").is_dir() for f, _ in folders):
        raise UserError(f"{root}: is in Cityscapes' format; only COCO's is mended")
    by_name = images_by_name(folders)
    coco: dict[Role, Source] = {}
    for role, path in _coco_files(root, json_files(folders), train, val).items():
        document = read_lists(path)
        document["annotations"] = list(document["annotations"])  # to be mended
        split: Split | None = None if role == "both" else role
        where = given_folder(images.get(split or "train"), root)
        where = where or images_dir_of(root, path, document["images"], by_name, split)
        coco[role] = Source(path, document, where or root)
    return Sources(
        root=root,
        coco=coco,
        files=tuple(folder / name for folder, names in folders for name in names),
        pictures=by_name,
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
        found = [path for path in jsons if is_coco(path)]
        if train is not None and not any(_is_of_val(path, root) for path in found):
            found = [train]
        if len(found) != 1 or val is not None:
            raise
        return {"both": found[0]}
    return {"train": files["train"], "val": files["val"]}


def _is_of_val(path: Path, root: Path) -> bool:
    return has_word(path.relative_to(root), *WORDS["val"])


def _as_found(path: Path, jsons: Sequence[Path]) -> Path:
    """A file's path below the folder, however it was written, if it exists."""
    real = path.resolve()
    return next((found for found in jsons if found.resolve() == real), path)
