"""Several detectors that predict together: what they find is pooled before a last NMS.

Each model sees the images at its own size, and finds masks and keypoints in its own boxes. One
model after another predicts all images into a file of its own; then these are read image by image.
So one model is in memory at a time, and the objects of one image.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import write_errors
from pointrend_repro.base.json_list import read_json_list, write_json_list
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.predictions.pooling import Result, pool
from pointrend_repro.settings.ensemble import EnsembleSettings
from pointrend_repro.settings.instances import DetectorSettings
from pointrend_repro.settings.schedule import InputSettings

LoadsModel = Callable[[], SavedModel]


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
    ensemble: Ensemble, predict: Callable[[SavedModel], Iterator[list[Result]]], path: Path
) -> None:
    """Let all models predict, and write what is left of it as a JSON list of COCO results.

    Args:
        predict: yields, of each image in turn, what a model finds in it.
        path: of the list. While this runs, a folder beside it holds the models' own results.
    """
    # Such names are those of half-written files: the next run removes what a killed one has left.
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(
            prefix=f".{path.name}.", suffix=".part", dir=path.parent
        )
    with scratch as folder:
        files = [Path(folder) / f"{number}.json" for number in range(len(ensemble.models))]
        for file, load in zip(files, ensemble.models, strict=True):
            write_json_list(file, predict(load()))
        write_json_list(path, _pooled(files, ensemble.settings))


def _pooled(files: list[Path], settings: EnsembleSettings) -> Iterator[Result]:
    for found in zip(*(read_json_list(file) for file in files), strict=True):
        yield from pool(
            [entry.value for entry in found],
            settings.model_weights,
            nms=settings.nms,
            nms_iou=settings.nms_iou,
            count=settings.detections_per_image,
        )
