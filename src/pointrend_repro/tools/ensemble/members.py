"""The files of an ensemble, checked against each other before anything is written."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.origins import origin_path, require_as_recorded
from pointrend_repro.evaluation.instance_results import (
    InstanceResults,
    index_results,
    require_known,
)
from pointrend_repro.evaluation.official_files import read_ground_truth


def read_members(paths: Sequence[Path], annotations: Path | None) -> list[InstanceResults]:
    """Read each model's predictions in COCO's results format, and require that they fit together.

    Args:
        paths: of the files. One beside which a record of this package lies must match it.
        annotations: what the models predicted, in COCO's format; none: only what the files
            themselves tell can be checked.

    Raises:
        UserError: a file is faulty, or cannot be of the same images and classes as the others.
    """
    for path in paths:
        if path.is_file() and origin_path(path).is_file():
            require_as_recorded(path, "predict")
    members = [index_results(path) for path in paths]
    if annotations is not None:
        required = {"images": ("id", "height", "width"), "categories": ("id",)}
        truth = read_ground_truth(annotations, required)
        sizes = {image["id"]: (image["height"], image["width"]) for image in truth["images"]}
        for member in members:
            require_known(
                member, sizes=sizes, category_ids={each["id"] for each in truth["categories"]}
            )
    _require_same_kind([member for member in members if len(member)])
    _require_same_sizes(members)
    _require_same_pictures(members)
    return members


def strangers(members: Sequence[InstanceResults]) -> Iterator[str]:
    """Yield what is odd about members, though it may be right: they share no class or no image."""
    filled = [member for member in members if len(member)]
    for member in filled[1:]:
        for what, column in (("category", "category"), ("image", "image")):
            first, own = getattr(filled[0], column).values, getattr(member, column).values
            if not set(first) & set(own):
                yield (
                    f"{member.path}: has no {what} id of {filled[0].path}; are both of the same "
                    "data set?"
                )


def _require_same_kind(filled: Sequence[InstanceResults]) -> None:
    for member in filled:
        if not (member.has_boxes or member.has_masks):
            raise UserError(
                f"{member.path}: neither all predictions have a 'bbox' nor all a 'segmentation', "
                "and one of them is needed to tell which are of the same object"
            )
        if member.has_masks != filled[0].has_masks:
            with_masks, without = member, filled[0]
            if without.has_masks:
                with_masks, without = without, with_masks
            raise UserError(
                f"{without.path}: not all predictions have a 'segmentation', as those of "
                f"{with_masks.path} have; all files need masks, or none"
            )


def require_masks(members: Sequence[InstanceResults]) -> None:
    """Refuse files of boxes alone where masks are to be compared.

    Raises:
        UserError: there is one.
    """
    for member in members:
        if len(member) and not member.has_masks:
            raise UserError(f"{member.path}: has no masks; say --overlap boxes")


def _require_same_sizes(members: Sequence[InstanceResults]) -> None:
    for member, image, size, expected, path in _differing(members, "size"):
        raise UserError(
            f"{member.path}: image {image} has masks of {list(size)} (height, width), but "
            f"of {list(expected)} in {path}; are both of the same data set?"
        )


def _require_same_pictures(members: Sequence[InstanceResults]) -> None:
    """Of results that name their pictures, as `segment`'s, whose numbers are a gallery's own."""
    for member, image, name, expected, path in _differing(members, "file"):
        raise UserError(
            f"{member.path}: image {image} is {name}, but in {path} {expected}; predict the same "
            "pictures in the same order, each time into a new folder"
        )


def _differing(
    members: Sequence[InstanceResults], column: str
) -> Iterator[tuple[InstanceResults, Any, Any, Any, Path]]:
    """Yield members whose images have another value than before: with both, and the file before."""
    known: dict[Any, tuple[Any, Path]] = {}
    for member in members:
        images, found = member.image, getattr(member, column)
        if not len(member):
            continue
        for image_code, code in np.unique(np.stack([images.codes, found.codes]), axis=1).T:
            image, value = images.values[image_code], found.values[code]
            if value is None:
                continue
            expected, path = known.setdefault(image, (value, member.path))
            if value != expected:
                yield member, image, value, expected, path
