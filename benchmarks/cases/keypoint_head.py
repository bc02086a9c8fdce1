"""The keypoint head at inference: 100 boxes of one image, from features to 17 keypoints in each.

The features are given. Almost all of the time is the same on both sides: eight convolutions with
512 channels.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.keypoints import SIZES, Detectron2Head, KeypointInputs, keypoint_inputs
from pointrend_repro.tools.bench.case import Case, Size

_MAX_ELSEWHERE = 0.01
_SAME_PLACE_PX = 0.05


def make(size: Size, device: str) -> Case:
    inputs = keypoint_inputs(**SIZES[size], device=device, convs=8 if size == "full" else 1)
    return Case(
        settings=SIZES[size] | {"num_keypoints": inputs.head.num_keypoints, "dtype": "float32"},
        sides={"ours": lambda: ours(inputs), "detectron2": lambda: detectron2(inputs)},
        compare=compare_keypoints,
    )


def ours(inputs: KeypointInputs) -> Callable[[], Tensor]:
    @torch.no_grad()
    def run() -> Tensor:
        return inputs.head.predict(inputs.features, [inputs.boxes])

    return run


def detectron2(inputs: KeypointInputs) -> Callable[[], Tensor]:
    head = Detectron2Head(inputs)

    @torch.no_grad()
    def run() -> Tensor:
        return head.keypoints(inputs.boxes)

    return run


def compare_keypoints(ours: Tensor, theirs: Tensor) -> dict[str, float]:
    scores = (ours[..., 2] - theirs[..., 2]).abs().max().item()
    assert scores < 1e-3, f"scores differ by up to {scores}"
    away = (ours - theirs)[..., :2].abs().amax(dim=2)
    elsewhere = (away > _SAME_PLACE_PX).float().mean().item()
    # Of two pixels that are equal up to rounding, each side may choose another.
    assert elsewhere < _MAX_ELSEWHERE, f"{elsewhere:.2%} of the keypoints are elsewhere"
    return {"score_difference": scores, "elsewhere": elsewhere}
