"""What every mask head has to do, as checks that anybody can run over a head of their own.

`pointrend-repro check-head` runs them; so do the tests, over every head of this package.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.structures import Proposals, Target
from pointrend_repro.evaluation.cost import mask_head_cost
from pointrend_repro.modeling.backbone import STRIDES, TRUNK_STRIDES
from pointrend_repro.modeling.mask_heads import MaskHead, build_mask_head
from pointrend_repro.modeling.resnet import TRUNKS
from pointrend_repro.settings.instances import (
    BackboneSettings,
    InferenceSettings,
    MaskHeadSettings,
    ModelSettings,
)

_IMAGE_PX = (64, 96)
_NUM_CLASSES = 4
_BACKBONE = BackboneSettings(name="resnet18_narrow", norm="gn", freeze_at=0, fpn_channels=8)
_INFERENCE = InferenceSettings(output_resolution=28, points_per_step=100)
_NO_BOXES = torch.zeros(0, 4)
_NO_LABELS = torch.zeros(0, dtype=torch.int64)
# xyxy pixels, of two images.
_BOXES = [
    torch.tensor([[4.0, 6, 40, 50], [20, 10, 90, 60], [50, 30, 62, 44]]),
    torch.tensor([[10.5, 3.25, 70.75, 41.5]]),
]
_LABELS = [torch.tensor([0, 3, 1]), torch.tensor([2])]


class NonConformingError(Exception):
    """What a head does that it must not, in one line."""


@dataclass(frozen=True)
class Case:
    """The settings of a head to check; every check makes it anew."""

    settings: MaskHeadSettings

    def head(self, seed: int = 0) -> "_Head":
        """Return the head with the random weights of a seed."""
        torch.manual_seed(seed)
        head = build_mask_head(
            self.settings,
            in_channels=_BACKBONE.fpn_channels,
            trunk_channels=TRUNKS[_BACKBONE.name].channels,
            num_classes=_NUM_CLASSES,
        )
        # Predictors start near zero, where everything is equal to everything.
        for name, parameter in cast(nn.Module, head).named_parameters():
            if name.endswith("bias") or "predict" in name:
                nn.init.normal_(parameter, std=0.3)
        return cast(_Head, head)


class _Head(nn.Module, MaskHead):
    """For the type checker: a mask head is a module besides."""


def features(images: int = 2) -> dict[str, Tensor]:
    """Return random maps p2 to p5 and res2 to res5 of two images of 64x96 pixels."""
    generator = torch.Generator().manual_seed(1)
    widths = dict(zip(TRUNK_STRIDES, TRUNKS[_BACKBONE.name].channels, strict=True))
    height, width = _IMAGE_PX
    return {
        name: torch.randn(
            images,
            widths.get(name, _BACKBONE.fpn_channels),
            -(-height // stride),
            -(-width // stride),
            generator=generator,
        )
        for name, stride in (STRIDES | TRUNK_STRIDES).items()
    }


def masks_are_square_and_finite(case: Case) -> None:
    """One finite square mask a box."""
    masks = case.head().predict(features(), _BOXES, _LABELS, _INFERENCE)
    _require(
        masks.dim() == 3 and len(masks) == 4 and masks.shape[1] == masks.shape[2],
        f"predict gives {tuple(masks.shape)} for 4 boxes, not (4, M, M)",
    )
    _require(bool(masks.isfinite().all()), "predict gives logits that are not finite")


def images_without_boxes_are_nothing_special(case: Case) -> None:
    """An image without boxes gives no masks and changes no others."""
    head, maps = case.head(), features()
    second = {name: f[1:] for name, f in maps.items()}
    alone = head.predict(second, _BOXES[1:], _LABELS[1:], _INFERENCE)
    beside = head.predict(maps, [_NO_BOXES, _BOXES[1]], [_NO_LABELS, _LABELS[1]], _INFERENCE)
    _require_close(beside, alone, "an image without boxes changes the masks of another image")
    none = head.predict(maps, [_NO_BOXES] * 2, [_NO_LABELS] * 2, _INFERENCE)
    _require(
        none.shape == (0, *alone.shape[1:]),
        f"predict gives {tuple(none.shape)} for no boxes, not {(0, *alone.shape[1:])}",
    )


def a_mask_depends_on_its_own_box_alone(case: Case) -> None:
    """Other boxes do not change a box's mask."""
    head, maps = case.head(), features()
    together = head.predict(maps, _BOXES, _LABELS, _INFERENCE)
    for i in range(3):
        boxes = [_BOXES[0][i : i + 1], _NO_BOXES]
        labels = [_LABELS[0][i : i + 1], _NO_LABELS]
        alone = head.predict(maps, boxes, labels, _INFERENCE)
        _require_close(alone, together[i : i + 1], "other boxes change a box's mask")


def losses_reach_every_parameter(case: Case) -> None:
    """Finite scalar losses, with a gradient for every parameter."""
    head = case.head()
    losses = head.losses(features(), *_training_boxes(_BOXES, _LABELS))
    _require(bool(losses), "losses returns nothing")
    for name, loss in losses.items():
        _require(loss.shape == (), f"{name} has shape {tuple(loss.shape)}, not ()")
        _require(bool(loss.isfinite()), f"{name} is {float(loss.detach())}")
    torch.stack(list(losses.values())).sum().backward()
    left_out = [
        name
        for name, p in head.named_parameters()
        if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    _require(not left_out, f"no gradient reaches {', '.join(left_out)}")


def losses_without_objects_are_zero_with_a_graph(case: Case) -> None:
    """Without objects the losses are zero, and backward works."""
    head = case.head()
    losses = head.losses(features(), *_training_boxes([_NO_BOXES] * 2, [_NO_LABELS] * 2))
    total = torch.stack(list(losses.values())).sum()
    value = float(total.detach())
    _require(value == 0, f"the losses of no boxes are {value}, not 0")
    _require(total.requires_grad, "the losses of no boxes have no graph: training would stop")
    total.backward()
    changed = [name for name, p in head.named_parameters() if p.grad is not None and p.grad.any()]
    _require(not changed, f"the losses of no boxes give a gradient to {', '.join(changed)}")


def the_same_seed_gives_the_same_numbers(case: Case) -> None:
    """The same random seed gives the same numbers."""
    head = case.head()
    first, again = (head.predict(features(), _BOXES, _LABELS, _INFERENCE) for _ in range(2))
    _require(torch.equal(first, again), "predict gives other masks the second time")
    runs = []
    for _ in range(2):
        torch.manual_seed(5)
        losses = case.head().losses(features(), *_training_boxes(_BOXES, _LABELS))
        runs.append(torch.stack(list(losses.values())))
    _require(torch.equal(*runs), "losses gives other numbers for the same random seed")


def weights_survive_saving(case: Case) -> None:
    """The state dict holds all that decides the masks."""
    head = case.head()
    expected = head.predict(features(), _BOXES, _LABELS, _INFERENCE)
    weights = copy.deepcopy(head.state_dict())
    other = case.head(seed=9)
    other.load_state_dict(weights)
    got = other.predict(features(), _BOXES, _LABELS, _INFERENCE)
    _require(torch.equal(got, expected), "the state dict does not hold all that decides the masks")


def a_few_updates_lower_the_loss(case: Case) -> None:
    """Twenty updates on two images lower the loss by a tenth at least."""
    head, maps = case.head(), features()
    proposals, targets = _training_boxes(_BOXES, _LABELS)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    totals = []
    for _ in range(20):
        total = torch.stack(list(head.losses(maps, proposals, targets).values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(float(total.detach()))
    _require(
        totals[-1] < 0.9 * totals[0],
        f"20 updates on two images take the loss from {totals[0]:.3g} to {totals[-1]:.3g}",
    )


def its_cost_can_be_counted(case: Case) -> None:
    """Multiply-adds and activations can be counted (Table 2)."""
    model = ModelSettings(backbone=_BACKBONE, mask_head=case.settings)
    try:
        counts = mask_head_cost(model, _INFERENCE, num_classes=_NUM_CLASSES)
    except UserError as error:
        raise NonConformingError(str(error)) from None
    _require(all(value > 0 for value in counts.values()), f"counts are {counts}")


def its_masks_can_be_exported(case: Case) -> None:
    """torch.export gives a graph with the same masks for any number of boxes."""
    head, maps = case.head(), features(images=1)
    boxes, labels = torch.cat(_BOXES), torch.cat(_LABELS)
    count = torch.export.Dim("boxes", min=2, max=4096)
    try:
        graph = torch.export.export(
            _MaskGraph(head, maps),
            (boxes[:3], labels[:3]),
            dynamic_shapes={"boxes": {0: count}, "labels": {0: count}},
        ).module()
    except Exception as error:  # of many kinds, and long
        first = next(iter(str(error).splitlines()), type(error).__name__)
        hint = "len() of a tensor fixes its size, .shape[0] does not"
        raise NonConformingError(f"torch.export fails: {first} ({hint})") from error
    expected = head.predict(maps, [boxes], [labels], _INFERENCE)
    _require_close(graph(boxes, labels), expected, "the exported graph gives other masks")


class _MaskGraph(nn.Module):
    """A head's masks as a function of boxes (R, 4) and labels (R,) of one image."""

    def __init__(self, head: "_Head", maps: dict[str, Tensor]) -> None:
        super().__init__()
        self.head = head
        self.maps = maps

    def forward(self, boxes: Tensor, labels: Tensor) -> Tensor:
        return self.head.predict(self.maps, [boxes], [labels], _INFERENCE)


CHECKS: list[Callable[[Case], None]] = [
    masks_are_square_and_finite,
    images_without_boxes_are_nothing_special,
    a_mask_depends_on_its_own_box_alone,
    losses_reach_every_parameter,
    losses_without_objects_are_zero_with_a_graph,
    the_same_seed_gives_the_same_numbers,
    weights_survive_saving,
    a_few_updates_lower_the_loss,
    its_masks_can_be_exported,
    its_cost_can_be_counted,
]


def _training_boxes(
    boxes: list[Tensor], labels: list[Tensor]
) -> tuple[list[Proposals], list[Target]]:
    """Proposals that lie on objects whose left half is the mask."""
    proposals = [Proposals(b, k, torch.arange(len(b))) for b, k in zip(boxes, labels, strict=True)]
    targets = []
    for b, k in zip(boxes, labels, strict=True):
        masks = torch.zeros(len(b), *_IMAGE_PX, dtype=torch.bool)
        for mask, (x0, y0, x1, y1) in zip(masks, b.round().int().tolist(), strict=True):
            mask[y0:y1, x0 : (x0 + x1) // 2] = True
        targets.append(Target(b, k, masks))
    return proposals, targets


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise NonConformingError(problem)


def _require_close(got: Tensor, expected: Tensor, problem: str) -> None:
    _require(got.shape == expected.shape, f"{problem}: {tuple(got.shape)}, {tuple(expected.shape)}")
    difference = float((got - expected).abs().max().detach()) if got.numel() else 0.0
    _require(difference < 1e-4, f"{problem}, by up to {difference:.2g}")
