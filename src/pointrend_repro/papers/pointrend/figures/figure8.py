"""Figure 8: instance and semantic segmentation of streets, without and with PointRend."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.data.examples import read_record
from pointrend_repro.data.structures import Detections
from pointrend_repro.figures.busy import BUSY_CHOICE, choose_busy
from pointrend_repro.figures.detections import by_one_rule, corresponding_objects, show_detections
from pointrend_repro.figures.drawing import (
    WIDTH_IN,
    Picture,
    View,
    new_figure,
    show_view,
    view_window,
)
from pointrend_repro.figures.streets import add_legend, colored_over
from pointrend_repro.predictions.by_default import default_inference
from pointrend_repro.predictions.instances import detect
from pointrend_repro.predictions.label_maps import predict_label_map
from pointrend_repro.settings.instances import InferenceSettings
from pointrend_repro.settings.semantic import SemanticInferenceSettings

MODELS = {
    "baseline": ["mask_head"],
    "pointrend": ["mask_head"],
    "deeplab": ["decoder"],
    "deeplab_pointrend": ["decoder"],
}

_NUM_STREETS = 2
_LONGER_SIDE_PX = 1024
_DETECTORS = {"baseline": "Mask R-CNN, 4× conv", "pointrend": "Mask R-CNN + PointRend"}
_LABELLERS = {"deeplab": "DeepLabV3", "deeplab_pointrend": "DeepLabV3 + PointRend"}


def draw(models: Mapping[str, SavedModel], dataset: CocoDataset) -> Picture:
    """Draw one column per street: the image, two detectors' objects, two label maps.

    Raises:
        UserError: there is nothing to show, or an image cannot be read.
    """
    records = choose_busy(dataset, _NUM_STREETS)
    images = [read_record(record) for record in records]
    found = [
        [detect(models[part], image, InferenceSettings()) for part in _DETECTORS]
        for image in images
    ]
    selected, rule = by_one_rule(found)
    names = [category.name for category in dataset.categories]
    labelled: set[int] = set()
    titles = ["image", *_DETECTORS.values(), *_LABELLERS.values()]
    figure = new_figure(_height_in(images, len(titles)))
    axes = figure.subplots(len(titles), len(images), squeeze=False)
    for row, title in zip(axes, titles, strict=True):
        row[0].set_ylabel(title)
    for column, image, detections in zip(axes.T, images, selected, strict=True):
        _show(column[0], image)
        _show_objects(column[1:3], image, detections, names)
        for ax, part in zip(column[3:], _LABELLERS, strict=True):
            saved = models[part]
            settings = default_inference(saved)
            assert isinstance(settings, SemanticInferenceSettings)
            train_ids = predict_label_map(saved.model, image, settings, saved.input)
            _show(ax, colored_over(image, train_ids))
            labelled.update(np.unique(train_ids).tolist())
    add_legend(figure, labelled)
    return Picture(
        figure,
        title="Figure 8: Cityscapes results for instance and semantic segmentation",
        caption=(
            "Streets as they are; as Mask R-CNN sees them with its standard mask head and with "
            "PointRend; and as DeepLabV3 labels them at output stride 16, without PointRend and "
            f"with it. Objects: {rule} An object that both detectors find, as the same class, has "
            f"one colour; label maps have Cityscapes' colours. Shown are {BUSY_CHOICE}."
        ),
        alternative_text=(
            f"{len(images)} street scenes in columns, each five times: the image, the objects of "
            "two detectors outlined, and two label maps laid over it in colours."
        ),
        image_ids=[record.id for record in records],
    )


def _height_in(images: list[NDArray[np.uint8]], rows: int) -> float:
    height, width = max((image.shape[:2] for image in images), key=lambda s: s[0] / s[1])
    return 0.2 + rows * WIDTH_IN / len(images) * height / width


def _show(ax: Axes, image: NDArray[np.uint8]) -> None:
    show_view(ax, _whole(image))


def _whole(image: NDArray[np.uint8]) -> View:
    height, width = image.shape[:2]
    return view_window(image, (0, 0, width, height), max(_LONGER_SIDE_PX, width))


def _show_objects(
    axes: NDArray[np.object_],
    image: NDArray[np.uint8],
    found: list[Detections],
    names: list[str],
) -> None:
    view, (left, right) = _whole(image), found
    show_detections(axes[0], view, left, list(range(len(left.boxes))), names)
    show_detections(axes[1], view, right, corresponding_objects(right, left), names)
