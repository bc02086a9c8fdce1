"""Training of the mask heads: targets, losses, and regions that are not there."""

import pytest
import torch
import torch.nn.functional as F
from mask_head_cases import (
    BOXES,
    CLASS_SPECIFIC,
    HEADS,
    LABELS,
    NO_LABELS,
    NONE,
    NUM_CLASSES,
    mask_head,
    matched,
    pyramid,
    rectangle_target,
    targets,
)
from torch import Tensor

from benchmarks.yardstick import point_logits
from pointrend_repro.data.structures import Proposals, Target
from pointrend_repro.modeling.mask_heads.targets import crop_masks, grid_loss
from pointrend_repro.modeling.points import point_sample


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("empty", ["first", "second", "both", "neither"])
def test_losses_reach_every_parameter(kind: str, empty: str) -> None:
    head = mask_head(kind)
    features = {name: f.requires_grad_() for name, f in pyramid().items()}
    boxes, labels = list(BOXES), list(LABELS)
    for image, names in enumerate((("first", "both"), ("second", "both"))):
        if empty in names:
            boxes[image], labels[image] = NONE, NO_LABELS
    proposals = matched(boxes, labels)
    losses = head.losses(features, proposals, list(map(rectangle_target, boxes, labels)))
    assert all(loss.isfinite() for loss in losses.values())
    if empty == "both":
        assert all(loss == 0 for loss in losses.values())
    sum(losses.values()).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        if empty == "neither":
            assert parameter.grad.abs().sum() > 0, name
    flow = features["p2"].grad
    assert flow is not None
    if empty != "both":
        for image, boxes_of_image in enumerate(boxes):
            assert (flow[image].abs().sum() > 0) == (len(boxes_of_image) > 0)


@pytest.mark.parametrize("kind", CLASS_SPECIFIC)
def test_a_loss_depends_on_the_logits_of_the_box_s_own_class_alone(kind: str) -> None:
    head = mask_head(kind)
    labels = [torch.tensor([2, 2, 2]), torch.tensor([2])]
    losses = head.losses(pyramid(), matched(BOXES, labels), targets())
    sum(losses.values()).backward()
    predictor = head.point_head.predictor if kind == "pointrend" else head.predictor
    others = [k for k in range(NUM_CLASSES) if k != 2]
    assert predictor.bias.grad[2] != 0
    assert (predictor.bias.grad[others] == 0).all()
    assert (predictor.weight.grad[others] == 0).all()


def point_loss(seed: int, **changes: object) -> Tensor:
    head = mask_head("pointrend", **changes)
    torch.manual_seed(seed)
    return head.losses(pyramid(), matched(BOXES, LABELS), targets())["loss_mask_point"]


@pytest.mark.parametrize("train_points", [20, 33])
def test_summed_point_loss_is_the_mean_times_the_points(train_points: int) -> None:
    mean = point_loss(3, point_loss="mean", train_points=train_points)
    summed = point_loss(3, point_loss="sum", train_points=train_points)
    torch.testing.assert_close(summed, mean * train_points)


def test_training_points_repeat_with_the_seed_and_differ_between_equal_boxes() -> None:
    assert point_loss(3) == point_loss(3)
    assert point_loss(3) != point_loss(4)
    head = mask_head("pointrend")
    seen = []
    head.point_head.register_forward_hook(lambda _, args, __: seen.append(args[2]))
    box, label = BOXES[0][:1].expand(2, 4), LABELS[0][:1].expand(2)
    twice = Proposals(box, label, torch.zeros(2, dtype=torch.int64))
    features = {name: f[:1] for name, f in pyramid().items()}
    head.losses(features, [twice], targets()[:1])
    assert not torch.allclose(seen[0][0], seen[0][1])


def test_point_loss_is_cross_entropy_against_the_interpolated_mask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head, features = mask_head("pointrend"), pyramid()
    points = torch.rand(4, 20, 2, generator=torch.Generator().manual_seed(5))
    monkeypatch.setattr(head, "_training_points", lambda coarse, labels: points)
    loss = head.losses(features, matched(BOXES, LABELS), targets())["loss_mask_point"]
    coarse = head.coarse_head(features, BOXES)
    all_classes = point_logits(head, features["p2"], BOXES, coarse, points)
    logits = all_classes[torch.arange(4), torch.cat(LABELS)]
    wanted, region = [], 0
    for boxes, target in zip(BOXES, targets(), strict=True):
        for (x0, y0, x1, y1), mask in zip(boxes.tolist(), target.masks, strict=True):
            for u, v in points[region].tolist():
                x, y = (x0 + u * (x1 - x0)) / 96, (y0 + v * (y1 - y0)) / 64
                at = torch.tensor([[[x, y]]])
                wanted.append(point_sample(mask[None, None].float(), at).item())
            region += 1
    labels = torch.tensor(wanted).view(4, 20)
    per_point = -(labels * F.logsigmoid(logits) + (1 - labels) * F.logsigmoid(-logits))
    torch.testing.assert_close(loss, per_point.mean())


def slow_crop(mask: Tensor, box: list[int], resolution: int) -> Tensor:
    """Share of foreground pixels in each cell; cells of whole pixels, none beyond the mask."""
    x0, y0, x1, y1 = box
    crop = torch.zeros(resolution, resolution)
    for i in range(resolution):
        for j in range(resolution):
            top, bottom = (y0 + (y1 - y0) * k // resolution for k in (i, i + 1))
            left, right = (x0 + (x1 - x0) * k // resolution for k in (j, j + 1))
            share = mask[max(top, 0) : bottom, max(left, 0) : right].sum()
            crop[i, j] = float(share >= 0.5 * (bottom - top) * (right - left))
    return crop


@pytest.mark.parametrize(
    "box",
    [[8, 4, 29, 32], [0, 0, 35, 35], [10, 10, 17, 17], [20, 8, 41, 50]],
    ids=["inside", "all", "a pixel a cell", "wider than the object"],
)
def test_cropped_masks_are_the_majority_of_each_cell(box: list[int]) -> None:
    mask = torch.zeros(64, 64, dtype=torch.bool)
    mask[9:27, 12:33] = True
    other = ~mask
    boxes = torch.tensor([box, box], dtype=torch.float32)
    proposals = Proposals(boxes, torch.tensor([0, 0]), torch.tensor([1, 0]))
    target = Target(boxes, torch.tensor([0, 0]), torch.stack([other, mask]))
    crops = crop_masks([proposals], [target], 7)
    assert torch.equal(crops[0], slow_crop(mask, box, 7))
    assert torch.equal(crops[1], slow_crop(other, box, 7))


def test_crops_of_images_with_and_without_objects() -> None:
    with_object = targets()[1]
    without = rectangle_target(NONE, NO_LABELS)
    proposals = matched([NONE, BOXES[1]], [NO_LABELS, LABELS[1]])
    crops = crop_masks(proposals, [without, with_object], 14)
    assert torch.equal(crops, crop_masks(proposals[1:], [with_object], 14))


@pytest.mark.parametrize("kind", HEADS)
def test_boxes_partly_outside_of_the_image_have_background_there(kind: str) -> None:
    """Refined boxes are not clipped; beyond the image there is no object."""
    outside = torch.tensor([[-40.0, -30, 60, 40], [70, 40, 130, 100], [200, 200, 220, 230]])
    target = Target(outside, torch.tensor([0, 1, 2]), torch.ones(3, 64, 96, dtype=torch.bool))
    proposals = Proposals(outside, target.labels, torch.arange(3))
    crops = crop_masks([proposals], [target], 20)
    assert not crops[0, :8].any()
    assert not crops[0, :, :7].any()
    assert crops[0, 9:, 9:].all()
    assert not crops[2].any()
    features = {name: f[:1] for name, f in pyramid().items()}
    losses = mask_head(kind).losses(features, [proposals], [target])
    assert all(loss.isfinite() for loss in losses.values())


def test_grid_loss_is_the_mean_over_cells_of_the_own_class() -> None:
    logits = torch.randn(4, NUM_CLASSES, 14, 14, generator=torch.Generator().manual_seed(0))
    proposals, labels = matched(BOXES, LABELS), torch.cat(LABELS)
    wanted = crop_masks(proposals, targets(), 14)
    total = 0.0
    for i, k in enumerate(labels.tolist()):
        signs = torch.where(wanted[i] > 0, logits[i, k], -logits[i, k])
        total -= F.logsigmoid(signs).sum()
    torch.testing.assert_close(
        grid_loss(logits, labels, proposals, targets()), total / (4 * 14 * 14)
    )
