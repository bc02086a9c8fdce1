"""A trained model's masks for an annotated object: inside its true box, of its true class."""

import torch
from torch import Tensor

from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.examples import inference_image, read_record
from pointrend_repro.figures.objects import ShownObject
from pointrend_repro.settings.instances import InferenceSettings


def mask_logits(saved: SavedModel, shown: ShownObject, resolutions: list[int]) -> list[Tensor]:
    """Render an object's mask at several resolutions M, with the paper's 28^2 points per step.

    Returns:
        Logits (M, M) over the object's box, for each resolution.
    """
    image, boxes, labels = network_input(saved, shown)
    rendered: list[Tensor] = []
    for resolution in resolutions:
        settings = InferenceSettings(output_resolution=resolution)
        rendered += saved.model.masks_in_boxes([image], [boxes], [labels], settings)
    return rendered


def network_input(saved: SavedModel, shown: ShownObject) -> tuple[Tensor, Tensor, Tensor]:
    """Return the resized image (3, H', W'), the box (1, 4) in its pixels, and the class (1,)."""
    image = inference_image(read_record(shown.record), saved.input)
    height, width = image.shape[1:]
    scale = torch.tensor([width / shown.record.width, height / shown.record.height]).repeat(2)
    boxes = (torch.tensor(shown.box) * scale)[None]
    return image, boxes, torch.tensor([shown.annotation.label])
