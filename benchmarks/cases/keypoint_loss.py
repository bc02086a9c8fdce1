"""The keypoint loss, forward and backward, of 32 boxes of one image, with their features."""

from collections.abc import Callable

from torch import Tensor

from benchmarks.keypoints import SIZES, Detectron2Head, KeypointInputs, keypoint_inputs
from pointrend_repro.tools.bench.case import Case, Size

# Some ReLU inputs near zero are on the other side of it, which changes a gradient more than a loss.
_MAX_RELATIVE = {"loss": 1e-4, "gradient": 0.02}
_BOXES = {"full": 32, "tiny": 2}


def make(size: Size, device: str) -> Case:
    settings = SIZES[size] | {"num_boxes": _BOXES[size]}
    inputs = keypoint_inputs(**settings, device=device, convs=8 if size == "full" else 1)
    return Case(
        settings=settings | {"num_keypoints": inputs.head.num_keypoints, "dtype": "float32"},
        sides={"ours": lambda: ours(inputs), "detectron2": lambda: detectron2(inputs)},
        compare=compare,
    )


def ours(inputs: KeypointInputs) -> Callable[[], tuple[Tensor, Tensor]]:
    proposals, target = inputs.people()

    def run() -> tuple[Tensor, Tensor]:
        inputs.head.zero_grad()
        loss = inputs.head.losses(inputs.features, [proposals], [target])["loss_keypoint"]
        loss.backward()
        return loss.detach(), _gradient(inputs.head.convs[0].weight)

    return run


def detectron2(inputs: KeypointInputs) -> Callable[[], tuple[Tensor, Tensor]]:
    head = Detectron2Head(inputs)
    proposals, target = inputs.people()

    def run() -> tuple[Tensor, Tensor]:
        from detectron2.utils.events import EventStorage

        head.head.zero_grad()
        with EventStorage():
            loss = head.loss(proposals.boxes, target)
        loss.backward()
        return loss.detach(), _gradient(head.head.conv_fcn1.weight)

    return run


def _gradient(weight: Tensor) -> Tensor:
    assert weight.grad is not None
    return weight.grad


def compare(ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]) -> dict[str, float]:
    found = {}
    for name, one, other in zip(_MAX_RELATIVE, ours, theirs, strict=True):
        found[name] = ((one - other).norm() / other.norm()).item()
        assert found[name] < _MAX_RELATIVE[name], f"{name}: {found[name]} apart"
    return found
