"""Running a semantic model on one picture."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pointrend_repro.data.examples import inference_image
from pointrend_repro.modeling.semantic.model import SemanticModel
from pointrend_repro.settings.instances import InputSettings
from pointrend_repro.settings.semantic import SemanticInferenceSettings


@dataclass(frozen=True)
class LabelMap:
    """What a semantic model makes of one image.

    Attributes:
        labels: (H, W) uint8, train ids.
    """

    labels: NDArray[np.uint8]


def predict_label_map(
    model: SemanticModel,
    image: NDArray[np.uint8],
    settings: SemanticInferenceSettings,
    resize: InputSettings | None = None,
) -> NDArray[np.uint8]:
    """Label every pixel of one RGB image, (H, W, 3) uint8.

    Beside the network's features this takes the memory of the logits of one image, with PointRend
    at full resolution, and of a few label maps.

    Args:
        model: in evaluation mode.
        image: the picture.
        settings: how to predict.
        resize: the size at which the network sees the picture; none: its own, as the paper's
            1024x2048 images.

    Returns:
        Train ids (H, W) uint8, at the picture's own size.
    """
    height, width = image.shape[:2]
    if resize is None:
        tensor = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
    else:
        tensor = inference_image(image, resize)
    device = model.backbone.pixel_mean.device
    (labels,) = model.predict([tensor.to(device)], settings, [(height, width)])
    result: NDArray[np.uint8] = labels.cpu().numpy()
    return result
