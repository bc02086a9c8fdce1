"""From 17 heat maps of 56x56 over each of 100 boxes to keypoints with their scores."""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.cases.keypoint_head import compare_keypoints
from benchmarks.keypoints import SIZES, keypoint_inputs
from pointrend_repro.modeling.heat_maps import keypoints_of_maps
from pointrend_repro.tools.bench.case import Case, NotInstalled, Size


def make(size: Size, device: str) -> Case:
    inputs = keypoint_inputs(**SIZES[size], device=device, convs=1)
    with torch.no_grad():
        maps = inputs.head(inputs.features, [inputs.boxes])
    return Case(
        settings=SIZES[size] | {"num_keypoints": inputs.head.num_keypoints, "dtype": "float32"},
        sides={
            "ours": lambda: ours(maps, inputs.boxes),
            "detectron2": lambda: detectron2(maps, inputs.boxes),
            "torchvision": lambda: torchvision(maps, inputs.boxes),
        },
        compare=compare_keypoints,
    )


def ours(maps: Tensor, boxes: Tensor) -> Callable[[], Tensor]:
    return lambda: keypoints_of_maps(maps, boxes)


def detectron2(maps: Tensor, boxes: Tensor) -> Callable[[], Tensor]:
    try:
        from detectron2.structures.keypoints import heatmaps_to_keypoints
    except ImportError as error:
        raise NotInstalled("detectron2") from error
    return lambda: heatmaps_to_keypoints(maps, boxes)[:, :, [0, 1, 3]]


def torchvision(maps: Tensor, boxes: Tensor) -> Callable[[], Tensor]:
    """Its scores are logits; those of the others are made from them."""
    from torchvision.models.detection.roi_heads import heatmaps_to_keypoints

    def run() -> Tensor:
        points, logits = heatmaps_to_keypoints(maps, boxes)
        scores = (logits - maps.flatten(2).logsumexp(dim=2)).exp()
        return torch.cat([points[..., :2], scores.unsqueeze(2)], dim=2)

    return run
