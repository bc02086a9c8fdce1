"""Checks of what every mask head must do, which can be run on a head of your own.

`pointrend-repro check-head` runs them; the tests run them on every head of this package.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pointrend_repro.base.errors import UserError
from pointrend_repro.evaluation.cost import mask_head_cost
from pointrend_repro.settings.instances import ModelSettings
from pointrend_repro.tools.head_case import (
    BACKBONE,
    BOXES,
    INFERENCE,
    LABELS,
    NO_BOXES,
    NO_LABELS,
    NUM_CLASSES,
    Case,
    Head,
    NonConformingError,
    features,
    require,
    require_close,
    training_boxes,
)


def masks_are_square_and_finite(case: Case) -> None:
    """One finite square mask per box."""
    masks = case.head().predict(features(), BOXES, LABELS, INFERENCE)
    require(
        masks.dim() == 3 and len(masks) == 4 and masks.shape[1] == masks.shape[2],
        f"predict gives {tuple(masks.shape)} for 4 boxes, not (4, M, M)",
    )
    require(bool(masks.isfinite().all()), "predict gives logits that are not finite")


def images_without_boxes_are_nothing_special(case: Case) -> None:
    """An image without boxes gives no masks and does not change others."""
    head, maps = case.head(), features()
    second = {name: f[1:] for name, f in maps.items()}
    alone = head.predict(second, BOXES[1:], LABELS[1:], INFERENCE)
    beside = head.predict(maps, [NO_BOXES, BOXES[1]], [NO_LABELS, LABELS[1]], INFERENCE)
    require_close(beside, alone, "an image without boxes changes the masks of another image")
    none = head.predict(maps, [NO_BOXES] * 2, [NO_LABELS] * 2, INFERENCE)
    require(
        none.shape == (0, *alone.shape[1:]),
        f"predict gives {tuple(none.shape)} for no boxes, not {(0, *alone.shape[1:])}",
    )


def a_mask_depends_on_its_own_box_alone(case: Case) -> None:
    """Other boxes do not change a box's mask."""
    head, maps = case.head(), features()
    together = head.predict(maps, BOXES, LABELS, INFERENCE)
    for i in range(3):
        boxes = [BOXES[0][i : i + 1], NO_BOXES]
        labels = [LABELS[0][i : i + 1], NO_LABELS]
        alone = head.predict(maps, boxes, labels, INFERENCE)
        require_close(alone, together[i : i + 1], "other boxes change a box's mask")


def losses_reach_every_parameter(case: Case) -> None:
    """Finite scalar losses, with a gradient for every parameter."""
    head = case.head()
    losses = head.losses(features(), *training_boxes(BOXES, LABELS))
    require(bool(losses), "losses returns nothing")
    for name, loss in losses.items():
        require(loss.shape == (), f"{name} has shape {tuple(loss.shape)}, not ()")
        require(bool(loss.isfinite()), f"{name} is {float(loss.detach())}")
    torch.stack(list(losses.values())).sum().backward()
    left_out = [
        name
        for name, p in head.named_parameters()
        if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    require(not left_out, f"no gradient reaches {', '.join(left_out)}")


def losses_without_objects_are_zero_with_a_graph(case: Case) -> None:
    """Without objects the losses are zero, and backward works."""
    head = case.head()
    losses = head.losses(features(), *training_boxes([NO_BOXES] * 2, [NO_LABELS] * 2))
    total = torch.stack(list(losses.values())).sum()
    value = float(total.detach())
    require(value == 0, f"the losses of no boxes are {value}, not 0")
    require(total.requires_grad, "the losses of no boxes have no graph: training would stop")
    total.backward()
    changed = [name for name, p in head.named_parameters() if p.grad is not None and p.grad.any()]
    require(not changed, f"the losses of no boxes give a gradient to {', '.join(changed)}")


def the_same_seed_gives_the_same_numbers(case: Case) -> None:
    """The same random seed gives the same numbers."""
    head = case.head()
    first, again = (head.predict(features(), BOXES, LABELS, INFERENCE) for _ in range(2))
    require(torch.equal(first, again), "predict gives different masks the second time")
    runs = []
    for _ in range(2):
        torch.manual_seed(5)
        losses = case.head().losses(features(), *training_boxes(BOXES, LABELS))
        runs.append(torch.stack(list(losses.values())))
    require(torch.equal(*runs), "losses gives different numbers for the same random seed")


def weights_survive_saving(case: Case) -> None:
    """The state dict holds everything that decides the masks."""
    head = case.head()
    expected = head.predict(features(), BOXES, LABELS, INFERENCE)
    weights = copy.deepcopy(head.state_dict())
    other = case.head(seed=9)
    other.load_state_dict(weights)
    got = other.predict(features(), BOXES, LABELS, INFERENCE)
    require(torch.equal(got, expected), "the state dict does not hold all that decides the masks")


def a_few_updates_lower_the_loss(case: Case) -> None:
    """Twenty updates on two images lower the loss by at least a tenth."""
    head, maps = case.head(), features()
    proposals, targets = training_boxes(BOXES, LABELS)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    totals = []
    for _ in range(20):
        total = torch.stack(list(head.losses(maps, proposals, targets).values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(float(total.detach()))
    require(
        totals[-1] < 0.9 * totals[0],
        f"20 updates on two images take the loss from {totals[0]:.3g} to {totals[-1]:.3g}",
    )


def its_cost_can_be_counted(case: Case) -> None:
    """Multiply-adds and activations can be counted (Table 2)."""
    model = ModelSettings(backbone=BACKBONE, mask_head=case.settings)
    try:
        counts = mask_head_cost(model, INFERENCE, num_classes=NUM_CLASSES)
    except UserError as error:
        raise NonConformingError(str(error)) from None
    require(all(value > 0 for value in counts.values()), f"counts are {counts}")


def its_masks_can_be_exported(case: Case) -> None:
    """torch.export gives a graph with the same masks for any number of boxes."""
    head, maps = case.head(), features(images=1)
    boxes, labels = torch.cat(BOXES), torch.cat(LABELS)
    count = torch.export.Dim("boxes", min=2, max=4096)
    try:
        graph = torch.export.export(
            _MaskGraph(head, maps),
            (boxes[:3], labels[:3]),
            dynamic_shapes={"boxes": {0: count}, "labels": {0: count}},
        ).module()
    except Exception as error:  # of many kinds, with long messages
        first = next(iter(str(error).splitlines()), type(error).__name__)
        hint = "len() of a tensor fixes its size, .shape[0] does not"
        raise NonConformingError(f"torch.export fails: {first} ({hint})") from error
    expected = head.predict(maps, [boxes], [labels], INFERENCE)
    require_close(graph(boxes, labels), expected, "the exported graph gives other masks")


class _MaskGraph(nn.Module):
    """A head's masks as a function of boxes (R, 4) and labels (R,) of one image."""

    def __init__(self, head: "Head", maps: dict[str, Tensor]) -> None:
        super().__init__()
        self.head = head
        self.maps = maps

    def forward(self, boxes: Tensor, labels: Tensor) -> Tensor:
        return self.head.predict(self.maps, [boxes], [labels], INFERENCE)


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
