"""Several detectors that predict together: what they find is pooled before a last NMS.

Each model sees the images at its own size, and finds masks and keypoints in its own boxes. One
model after another predicts all images into a file of its own; then these are read image by image.
So one model is in memory at a time, and the objects of one image.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.json_list import json_text, read_json_list, write_json_list
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.predictions.image_steps import Steps
from pointrend_repro.predictions.in_parts import (
    LIST,
    Work,
    finished_parts,
    make_parts,
    parts_folder,
)
from pointrend_repro.predictions.pooling import Result, pool
from pointrend_repro.settings.ensemble import EnsembleSettings
from pointrend_repro.settings.instances import DetectorSettings
from pointrend_repro.settings.schedule import InputSettings

LoadsModel = Callable[[], SavedModel]

# Of one model: its results image by image, a list of each.
_OF_MODEL = replace(LIST, pack=json_text)


@dataclass(frozen=True)
class Ensemble:
    """Models for the same classes, the variant's own first; each is loaded when it predicts.

    Attributes:
        categories: the (id, name) of the classes.
        input: the own model's.
        detector: the own model's.
    """

    models: tuple[LoadsModel, ...]
    settings: EnsembleSettings
    categories: list[tuple[int, str]]
    input: InputSettings
    detector: DetectorSettings | None


def make_ensemble(models: Sequence[LoadsModel], settings: EnsembleSettings) -> Ensemble:
    """Put models together; each is loaded once, to see whether it fits.

    Raises:
        UserError: they are not for the same classes and keypoints, or only some of them predict
            masks.
    """
    first = _Kind(models[0]())
    for load, variant in zip(models[1:], settings.variants, strict=True):
        _require_same(first, _Kind(load()), f"ensemble.variants: {variant}")
    return Ensemble(tuple(models), settings, first.categories, first.input, first.detector)


class _Kind:
    """What is known of a model without its weights."""

    def __init__(self, saved: SavedModel) -> None:
        self.categories = saved.categories
        self.keypoints = saved.keypoints
        self.has_masks = saved.model.mask_head is not None
        self.input = saved.input
        self.detector = saved.detector


def _require_same(first: _Kind, other: _Kind, name: str) -> None:
    if other.categories != first.categories:
        raise UserError(f"{name} was trained for other classes")
    if other.keypoints != first.keypoints:
        raise UserError(f"{name} finds other keypoints")
    if other.has_masks != first.has_masks:
        which = "has a mask head" if other.has_masks else "has no mask head"
        raise UserError(f"{name} {which}, unlike the variant itself; all must, or none")


def write_pooled(
    ensemble: Ensemble,
    images: Sequence[Any],
    steps: Callable[[SavedModel], Steps],
    path: Path,
    work: Work,
) -> None:
    """Let all models predict, and write what is left of it as a JSON list of COCO results.

    Args:
        images: records of a data set.
        steps: of a model, whose predictions of an image are a list of COCO results.
        path: of the list. While this runs, a folder beside it holds the models' own results.
    """
    with parts_folder(path, work) as folder:
        of_models = [folder / str(number) for number in range(len(ensemble.models))]
        for own, load in zip(of_models, ensemble.models, strict=True):
            make_parts(own, images, partial(_steps_of, steps, load), _OF_MODEL, work)
        work.ranks.meet()
        if work.ranks.is_main:
            files = [finished_parts(own, len(images), _OF_MODEL.ending) for own in of_models]
            write_json_list(path, _pooled(files, ensemble.settings))


def _steps_of(steps: Callable[[SavedModel], Steps], load: LoadsModel) -> Steps:
    return steps(load())


def _pooled(models: Sequence[Sequence[Path]], settings: EnsembleSettings) -> Iterator[Result]:
    of_models = [chain.from_iterable(map(read_json_list, files)) for files in models]
    for found in zip(*of_models, strict=True):
        yield from pool(
            [entry.value for entry in found],
            settings.model_weights,
            nms=settings.nms,
            nms_iou=settings.nms_iou,
            count=settings.detections_per_image,
        )
