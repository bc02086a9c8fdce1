"""Region proposals and RoI pooling, against slow loops and torchvision."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_nms import slow_nms
from torch import Tensor
from torchvision.ops import box_iou, roi_align
from torchvision.ops.poolers import LevelMapper

from pointrend_repro.data.structures import Target
from pointrend_repro.modeling.backbone import STRIDES
from pointrend_repro.modeling.boxes import decode_boxes
from pointrend_repro.modeling.choosing import choose_proposals
from pointrend_repro.modeling.pooling import pool_rois, with_batch_index
from pointrend_repro.modeling.rpn import RegionProposalNetwork
from pointrend_repro.settings.instances import DetectorSettings

CHANNELS = 6


def pyramid(height: int, width: int, images: int = 1, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(images, CHANNELS, -(-height // s), -(-width // s), generator=generator)
        for name, s in STRIDES.items()
    }


def network(**changes: object) -> RegionProposalNetwork:
    torch.manual_seed(0)
    rpn = RegionProposalNetwork(CHANNELS, STRIDES, DetectorSettings.model_validate(changes))
    for layer in (rpn.conv, rpn.objectness_logits, rpn.anchor_deltas):
        torch.nn.init.normal_(layer.weight, std=0.15)  # boxes that differ from their anchors
    return rpn


def slow_proposals(
    rpn: RegionProposalNetwork, features: dict[str, Tensor], image: int, size: tuple[int, int]
) -> Tensor:
    """Level by level: the best anchors, moved, clipped, suppressed; then the best of all levels."""
    settings_ = rpn.settings
    height, width = size
    logits, deltas = rpn(features)
    found = []
    pre_nms = settings_.rpn_pre_nms_train if rpn.training else settings_.rpn_pre_nms_test
    for anchors, logit, delta in zip(rpn.anchors(features), logits, deltas, strict=True):
        best = logit[image].argsort(descending=True)[:pre_nms]
        boxes = decode_boxes(delta[image][best], anchors[best], (1.0, 1.0, 1.0, 1.0))
        boxes[:, 0::2] = boxes[:, 0::2].clamp(0, width)
        boxes[:, 1::2] = boxes[:, 1::2].clamp(0, height)
        full = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(1)
        boxes, scores = boxes[full], logit[image][best][full]
        found += [
            (scores[k].item(), boxes[k]) for k in slow_nms(boxes, scores, settings_.rpn_nms_iou)
        ]
    found.sort(key=lambda pair: -pair[0])
    in_training = settings_.rpn_post_nms_train if rpn.training else None
    return torch.stack([box for _, box in found[: in_training or settings_.rpn_post_nms]])


@pytest.mark.parametrize(("training", "in_training"), [(True, None), (True, 45), (False, 45)])
def test_proposals_are_those_of_a_slow_implementation(
    training: bool, in_training: int | None
) -> None:
    rpn = network(
        rpn_pre_nms_train=60,
        rpn_pre_nms_test=30,
        rpn_post_nms=40,
        rpn_post_nms_train=in_training,
    ).train(training)
    features = pyramid(64, 96, images=2)
    sizes = [(64, 96), (50, 70)]
    with torch.no_grad():
        got = rpn.propose(rpn.anchors(features), *rpn(features), sizes)
        for image, size in enumerate(sizes):
            wanted = slow_proposals(rpn, features, image, size)
            assert len(wanted) == (45 if training and in_training else 40)
            torch.testing.assert_close(got[image], wanted)


def test_boxes_that_are_not_finite_are_no_proposals() -> None:
    rpn = network()
    features = pyramid(64, 64)
    logits, deltas = rpn(features)
    deltas[0][0, :5] = float("nan")
    logits[1][0, 3] = float("nan")
    (boxes,) = rpn.propose(rpn.anchors(features), logits, deltas, [(64, 64)])
    assert boxes.isfinite().all()


@given(st.integers(0, 2**32), st.sampled_from([0.3, 0.7, 1.0]), st.integers(0, 12))
@settings(max_examples=50, deadline=None)
def test_boxes_that_are_not_sound_change_nothing(seed: int, iou: float, unsound: int) -> None:
    """Not finite, empty, outside the image: the same as if they had been left out before."""
    generator = torch.Generator().manual_seed(seed)

    def chosen(boxes: Tensor, scores: Tensor, levels: Tensor) -> tuple[Tensor, Tensor]:
        return choose_proposals(boxes, scores, levels, (40, 50), iou=iou, most=9)

    corners = torch.rand(12, 2, 2, generator=generator) * torch.tensor([50.0, 40.0])
    boxes = torch.cat([corners.amin(1), corners.amax(1) + 1], dim=1)
    scores = torch.randn(12, generator=generator)
    levels = torch.randint(0, 3, (12,), generator=generator)
    faulty, rest = torch.randperm(12, generator=generator).split([unsound, 12 - unsound])
    rest = rest.sort().values
    expected = chosen(boxes[rest], scores[rest], levels[rest])
    for place, index in enumerate(faulty.tolist()):
        if place % 4 == 0:
            boxes[index, place % 3] = float("nan")
        elif place % 4 == 1:
            scores[index] = float("nan" if place < 4 else "inf")
        elif place % 4 == 2:
            boxes[index] = boxes[index, [2, 3, 0, 1]]
        else:
            boxes[index] += 60
    found = chosen(boxes, scores, levels)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert len(found[0]) <= 9


def test_anchor_sizes_must_fit_the_levels() -> None:
    with pytest.raises(ValueError, match=r"one size for each of .*got \(32, 64\)"):
        network(anchor_sizes_px=(32, 64))


@pytest.mark.parametrize("inside_only", [False, True])
@pytest.mark.parametrize("loss", ["l1", "smooth_l1"])
def test_proposal_losses_are_those_of_a_slow_loop(loss: str, inside_only: bool) -> None:
    """With a batch that takes every anchor there is nothing random about them."""
    rpn = network(rpn_batch_per_image=10**5, box_loss=loss, rpn_inside_anchors_only=inside_only)
    features = pyramid(64, 64)
    gt_boxes = torch.tensor([[8.0, 8, 40, 40], [20, 30, 60, 62]])
    target = Target(gt_boxes, torch.tensor([0, 1]), torch.zeros(2, 64, 64, dtype=torch.bool))
    anchors = torch.cat(rpn.anchors(features))
    logits, deltas = rpn(features)
    losses = rpn.losses(rpn.anchors(features), features, [target])
    logit, delta = torch.cat(logits, 1)[0], torch.cat(deltas, 1)[0]
    is_inside = ((anchors >= 0) & (anchors <= 64)).all(1)
    assert 0 < is_inside.sum() < len(anchors)
    iou = box_iou(anchors, gt_boxes)
    if inside_only:
        iou[~is_inside] = -1
    objectness = box = 0.0
    for a in is_inside.nonzero()[:, 0].tolist() if inside_only else range(len(anchors)):
        best, index = iou[a].max(0)
        is_best_of_some = bool((iou[a] == iou.max(0).values).any())
        if best >= 0.7 or is_best_of_some:
            objectness -= torch.nn.functional.logsigmoid(logit[a])
            size, gt = anchors[a, 2:] - anchors[a, :2], gt_boxes[index]
            shift = ((gt[:2] + gt[2:]) - (anchors[a, :2] + anchors[a, 2:])) / 2 / size
            scale = ((gt[2:] - gt[:2]) / size).log()
            for error in (delta[a] - torch.cat([shift, scale])).abs():
                quadratic = loss == "smooth_l1" and error < 1 / 9
                box += error**2 * 9 / 2 if quadratic else error - (loss != "l1") / 18
        elif best < 0.3:
            objectness -= torch.nn.functional.logsigmoid(-logit[a])
    torch.testing.assert_close(losses["loss_rpn_objectness"] * 10**5, objectness, rtol=1e-4, atol=0)
    torch.testing.assert_close(losses["loss_rpn_box"] * 10**5, box, rtol=1e-4, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(width=st.floats(1, 1400), height=st.floats(1, 1400))
def test_boxes_go_to_the_level_of_fpn_s_formula(width: float, height: float) -> None:
    box = torch.tensor([[3.0, 4.0, 3.0 + width, 4.0 + height]])
    # Maps of one value each, 1600 pixels wide: what is pooled tells its level.
    features = {f"p{k}": torch.full((1, 1, 1600 >> k, 1600 >> k), float(k)) for k in range(2, 6)}
    side = ((box[0, 2:] - box[0, :2]).prod() ** 0.5).item()
    if min(abs(side - bound) for bound in (112, 224, 448)) < 1e-2:
        return  # epsilons differ
    level = round(pool_rois(features, [box], 1).item(), 2)
    assert level == LevelMapper(2, 5)([box]).item() + 2
    assert level == (2 if side < 112 else 3 if side < 224 else 4 if side < 448 else 5)


def test_each_box_is_aligned_on_its_own_level_and_image() -> None:
    features = pyramid(512, 640, images=3)
    boxes = [
        torch.tensor([[10.0, 20, 60, 90], [0, 0, 500, 500]]),
        torch.zeros(0, 4),
        torch.tensor([[100.0, 40, 300, 260], [0, 0, 150, 150], [600, 480, 700, 560]]),
    ]
    got = pool_rois(features, boxes, 7)
    assert got.shape == (5, CHANNELS, 7, 7)
    wanted_levels = ["p2", "p5", "p3", "p3", "p2"]
    rois = with_batch_index(boxes)
    assert rois[:, 0].tolist() == [0, 0, 2, 2, 2]
    for crop, roi, level in zip(got, rois, wanted_levels, strict=True):
        scale = 1 / STRIDES[level]
        wanted = roi_align(features[level], roi[None], 7, scale, sampling_ratio=0, aligned=True)
        torch.testing.assert_close(crop, wanted[0])


def test_pooling_no_boxes_keeps_the_graph() -> None:
    features = {k: v.requires_grad_() for k, v in pyramid(64, 64).items()}
    pooled = pool_rois(features, [torch.zeros(0, 4)], 7)
    assert pooled.shape == (0, CHANNELS, 7, 7)
    pooled.sum().backward()
