"""Runs a semantic model on one image, or on a data set: one PNG of label ids per image."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.examples import inference_image
from pointrend_repro.data.images import read_image
from pointrend_repro.data.semantic import LabelledImage, LabelledImages, label_ids
from pointrend_repro.modeling.precision import computing_in
from pointrend_repro.modeling.semantic.model import SemanticModel
from pointrend_repro.predictions.image_steps import Steps
from pointrend_repro.predictions.in_parts import ALONE, FOLDER, Work, write_in_parts
from pointrend_repro.predictions.instances import require_same_categories
from pointrend_repro.settings.at_test import input_at_test
from pointrend_repro.settings.schedule import InputSettings
from pointrend_repro.settings.semantic import SemanticInferenceSettings

_ENDING = "_pred_labelIds.png"


@dataclass(frozen=True)
class LabelMap:
    """A semantic model's prediction for one image.

    Attributes:
        labels: (H, W) uint8, train ids.
    """

    labels: NDArray[np.uint8]


def predict_label_map(
    model: SemanticModel,
    image: NDArray[np.uint8],
    settings: SemanticInferenceSettings,
    size: InputSettings,
) -> NDArray[np.uint8]:
    """Label every pixel of one RGB image, (H, W, 3) uint8.

    Besides the network's features this takes the memory of one image's logits, at full resolution
    with PointRend, and of a few label maps.

    Args:
        model: in evaluation mode.
        image: the image.
        settings: how to predict.
        size: at which the network sees the image, unless `settings.test` asks for another.

    Returns:
        Train ids (H, W) uint8, at the image's own size.
    """
    seen = inference_image(image, input_at_test(size, settings.test))
    return _find(model, seen, (image.shape[0], image.shape[1]), settings)


def _find(
    model: SemanticModel, seen: Tensor, size: tuple[int, int], settings: SemanticInferenceSettings
) -> NDArray[np.uint8]:
    device = model.backbone.pixel_mean.device
    with computing_in(settings.test.precision, device):
        (labels,) = model.predict([seen.to(device)], settings, [size])
    result: NDArray[np.uint8] = labels.cpu().numpy()
    return result


def predict_image(
    saved: SavedModel, image: NDArray[np.uint8], settings: SemanticInferenceSettings
) -> LabelMap:
    """Label every pixel of one RGB image, (H, W, 3) uint8."""
    return LabelMap(predict_label_map(saved.model, image, settings, saved.input))


def write_label_maps(
    saved: SavedModel,
    dataset: LabelledImages,
    settings: SemanticInferenceSettings,
    folder: Path,
    work: Work = ALONE,
) -> None:
    """Label every image of a data set.

    Args:
        saved: the model, in evaluation mode.
        dataset: the images; their labels are not read.
        settings: how to predict.
        folder: gets `<city>_<sequence>_<frame>_pred_labelIds.png` for each image, at its size, as
            cityscapesscripts' evaluator reads them. After a failure it is as it was before.
        work: who predicts.

    Raises:
        UserError: the model was trained for other classes, an image cannot be read, or `folder`
            holds something else.
    """
    require_same_categories(saved, dataset)

    def find(record: LabelledImage, seen: Tensor) -> NDArray[np.uint8]:
        return _find(saved.model, seen, (record.height, record.width), settings)

    read = partial(_read, size=input_at_test(saved.input, settings.test))
    write_label_images(dataset, folder, read, find, work)


def write_label_images(
    dataset: LabelledImages,
    folder: Path,
    read: Callable[[LabelledImage], Any],
    find: Callable[[LabelledImage, Any], NDArray[np.uint8]],
    work: Work = ALONE,
) -> None:
    """Write a label image for each image, as in `write_label_maps`.

    Args:
        read: makes what the model is given, as in `Steps`.
        find: predicts an image's train ids, (H, W).
    """
    _require_own(folder)

    def labelled(record: LabelledImage, seen: Any) -> tuple[str, NDArray[np.uint8]]:
        return f"{record.id}{_ENDING}", find(record, seen)

    write_in_parts(folder, dataset.images, Steps(read, labelled, _label_image), FOLDER, work)


def _read(record: LabelledImage, size: InputSettings) -> Tensor:
    return inference_image(read_image(record.path), size)


def _label_image(labelled: tuple[str, NDArray[np.uint8]]) -> tuple[str, bytes]:
    name, train_ids = labelled
    content = io.BytesIO()
    Image.fromarray(label_ids(train_ids)).save(content, "png")
    return name, content.getvalue()


def _require_own(folder: Path) -> None:
    """Refuse to replace a folder not made by predictions; dotfiles are the pipeline's."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"{folder}: is a file; label images need a folder: choose another --output")
    for path in folder.iterdir():
        if not path.name.startswith(".") and not path.name.endswith(_ENDING):
            raise UserError(
                f"{folder}: holds {path.name}, which is not a predicted label image; "
                "choose another --output"
            )
