"""PointRend's mask head at inference: 100 boxes of one image, 80 classes, up to 224x224.

The features are given; the sides turn them and the boxes into masks over the boxes. Ours returns
logits, detectron2's probabilities.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks import yardstick
from benchmarks.detectron2_head import detectron2_mask_head
from benchmarks.inputs import MaskInputs, mask_inputs
from pointrend_repro.settings.instances import InferenceSettings
from pointrend_repro.tools.bench.case import Case, Size

MAX_DIFFERING_SHARE = 0.0005
_SIZES = {
    "full": {"num_boxes": 100, "num_classes": 80, "height": 800, "width": 1216},
    "tiny": {"num_boxes": 2, "num_classes": 3, "height": 64, "width": 96},
}
_RESOLUTIONS = {"full": 224, "tiny": 56}
_POINTS = 784


def make(size: Size, device: str) -> Case:
    resolution = _RESOLUTIONS[size]
    inputs = mask_inputs(**_SIZES[size], device=device)
    return Case(
        settings=_SIZES[size]
        | {"output_resolution": resolution, "points_per_step": _POINTS, "dtype": "float32"},
        sides={
            "ours": lambda: ours(inputs, resolution, _POINTS),
            "yardstick": lambda: plain(inputs, resolution, _POINTS),
            "detectron2": lambda: detectron2_mask_head(inputs, resolution),
        },
        compare=compare,
    )


def ours(inputs: MaskInputs, resolution: int, points: int) -> Callable[[], Tensor]:
    settings = InferenceSettings(output_resolution=resolution, points_per_step=points)
    p2 = inputs.p2
    if p2.device.type == "cpu":  # as our trunk hands it over
        p2 = p2.contiguous(memory_format=torch.channels_last)
    features = {"p2": p2}

    @torch.no_grad()
    def run() -> Tensor:
        logits = inputs.head.predict(features, [inputs.boxes], [inputs.labels], settings)
        return logits > 0

    return run


def plain(inputs: MaskInputs, resolution: int, points: int) -> Callable[[], Tensor]:
    @torch.no_grad()
    def run() -> Tensor:
        logits = yardstick.predict_masks(
            inputs.head,
            inputs.p2,
            [inputs.boxes],
            [inputs.labels],
            output_resolution=resolution,
            points_per_step=points,
        )
        return logits > 0

    return run


def compare(ours: Tensor, theirs: Tensor) -> dict[str, float]:
    differing = (ours != theirs).float().mean().item()
    assert differing < MAX_DIFFERING_SHARE, f"{differing:.4%} of the pixels differ"
    return {"differing_pixels": differing, "foreground": ours.float().mean().item()}
