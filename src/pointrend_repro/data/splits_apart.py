"""Whether the images of train and val are others: a score on images of the training says little."""

import logging
import os
from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.data.fingerprint import file_sha256
from pointrend_repro.data.paths import DataPaths

_log = logging.getLogger(__name__)


def require_apart(train: CocoDataset, val: CocoDataset, paths: DataPaths) -> None:
    """Refuse a val that is the train split, by its annotations or by its images; warn of a part.

    Files are compared after links are followed, since both folders may be one by another name.

    Raises:
        UserError: both are one file, or equal ones, or every image of val is one of train.
    """
    if _are_equal(paths.train_annotations, paths.val_annotations):
        raise UserError(
            f"{paths.val_annotations}: is the same as {paths.train_annotations}, and a model is "
            "not scored on its training images; give others, or let `val_from_train` take some out"
        )
    trained = set(_real_files(train))
    common = [path for path in _real_files(val) if path in trained]
    if not common:
        return
    told = (
        f"{paths.val_annotations}: {len(common)} of {len(val.images)} images are also in "
        f"{paths.train_annotations}, such as {common[0]}"
    )
    if len(common) == len(val.images):
        raise UserError(
            f"{told}; a model is not scored on its training images: take them out of one of the two"
        )
    _log.warning("%s; scores on them say little about other images", told)


def _are_equal(one: Path, other: Path) -> bool:
    if one.samefile(other):
        return True
    return one.stat().st_size == other.stat().st_size and file_sha256(one) == file_sha256(other)


def _real_files(dataset: CocoDataset) -> list[Path]:
    """Return the paths of a split's images without links, asking the disk once per folder."""
    real: dict[Path, Path] = {}
    links: dict[Path, set[str]] = {}
    found = []
    for image in dataset.images:
        folder, name = image.path.parent, image.path.name
        if folder not in real:
            real[folder] = folder.resolve()
            with os.scandir(folder) as entries:
                links[folder] = {entry.name for entry in entries if entry.is_symlink()}
        path = real[folder] / name
        found.append(path.resolve() if name in links[folder] else path)
    return found
