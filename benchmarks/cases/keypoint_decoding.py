"""From 17 heat maps of 56x56 over each of 100 boxes to keypoints with their scores.

A map is a hill with noise around it: about as many places can be its maximum as in maps of a
trained model.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.cases.keypoint_head import compare_keypoints
from benchmarks.inputs import random_boxes
from benchmarks.keypoints import SIZES
from pointrend_repro.modeling.heat_maps import keypoints_of_maps
from pointrend_repro.tools.bench.case import Case, NotInstalled, Size

_KEYPOINTS, _SIDE = 17, 56


def make(size: Size, device: str) -> Case:
    sizes, generator = SIZES[size], torch.Generator().manual_seed(0)
    maps = heat_maps(sizes["num_boxes"], generator).to(device)
    boxes = random_boxes(generator=generator, count=sizes["num_boxes"], **_image(sizes)).to(device)
    return Case(
        settings=sizes | {"num_keypoints": _KEYPOINTS, "dtype": "float32"},
        sides={
            "ours": lambda: ours(maps, boxes),
            "detectron2": lambda: detectron2(maps, boxes),
            "torchvision": lambda: torchvision(maps, boxes),
        },
        compare=compare_keypoints,
    )


def heat_maps(count: int, generator: torch.Generator) -> Tensor:
    """Make heat maps (count, 17, 56, 56), doubled bilinearly as a keypoint head's are."""
    half = _SIDE // 2
    cells = torch.arange(half)
    at = cells - half * torch.rand(2, count, _KEYPOINTS, 1, generator=generator)
    distance = at[0].square().unsqueeze(3) + at[1].square().unsqueeze(2)
    hill = 10 * torch.exp(-distance / (2 * 3**2))
    noise = torch.randn(count, _KEYPOINTS, half, half, generator=generator)
    return F.interpolate(hill + noise, scale_factor=2, mode="bilinear")


def _image(sizes: dict[str, int]) -> dict[str, int]:
    return {name: sizes[name] for name in ("height", "width")}


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
