"""The box head's samples, losses and detections, against slow loops."""

import pytest
import torch
import torch.nn.functional as F
from slow_nms import slow_nms
from torch import Tensor
from torchvision.ops import roi_align

from pointrend_repro.data.structures import Proposals, Target
from pointrend_repro.modeling.box_head import FcBoxHead
from pointrend_repro.modeling.boxes import decode_boxes
from pointrend_repro.modeling.pooling import pool_rois
from pointrend_repro.settings.instances import DetectorSettings

CHANNELS = 6
NUM_CLASSES = 3


def box_head(**changes: object) -> FcBoxHead:
    torch.manual_seed(0)
    small = {"box_head_channels": 16}
    return FcBoxHead(
        CHANNELS, NUM_CLASSES, DetectorSettings.model_validate(small | changes), pool_rois
    )


def test_sampling_labels_boxes_by_what_they_overlap() -> None:
    torch.manual_seed(0)
    head = box_head(roi_batch_per_image=100, roi_positive_fraction=0.25)
    gt_boxes = torch.tensor([[10.0, 10, 30, 30], [40, 40, 60, 60]])
    target = Target(gt_boxes, torch.tensor([2, 0]), torch.zeros(2, 64, 64, dtype=torch.bool))
    proposals = torch.tensor([[11.0, 11, 31, 31], [10, 10, 30, 18], [0, 0, 5, 5], [41, 38, 60, 60]])
    (sampled,) = head.sample([proposals], [target])
    rows = zip(sampled.boxes, sampled.labels.tolist(), sampled.matched.tolist(), strict=True)
    by_box = {tuple(box.tolist()): (label, match) for box, label, match in rows}
    assert len(by_box) == len(sampled.boxes) == 6  # proposals, and the two objects themselves
    for box, label in zip(gt_boxes.tolist(), (2, 0), strict=True):
        assert by_box[tuple(box)][0] == label
    assert by_box[(11, 11, 31, 31)] == (2, 0)
    assert by_box[(41, 38, 60, 60)] == (0, 1)
    assert by_box[(10, 10, 30, 18)][0] == by_box[(0, 0, 5, 5)][0] == NUM_CLASSES


def test_sampling_an_image_without_objects_is_all_background() -> None:
    head = box_head(roi_batch_per_image=8)
    empty = Target(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 9, 9) > 0)
    (sampled,) = head.sample([torch.rand(20, 4)], [empty])
    assert sampled.labels.tolist() == [NUM_CLASSES] * 8
    (sampled,) = head.sample([torch.zeros(0, 4)], [empty])
    assert len(sampled.boxes) == 0


@pytest.mark.parametrize("agnostic", [False, True])
@pytest.mark.parametrize("loss", ["l1", "smooth_l1"])
def test_box_losses_are_those_of_a_slow_loop(loss: str, agnostic: bool) -> None:
    head = box_head(box_loss=loss, class_agnostic_boxes=agnostic)
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(4, NUM_CLASSES + 1, generator=generator)
    deltas = torch.randn(4, 1 if agnostic else NUM_CLASSES, 4, generator=generator)
    gt = torch.tensor([[10.0, 10, 30, 30], [40, 40, 60, 60]])
    target = Target(gt, torch.tensor([2, 0]), torch.zeros(2, 64, 64, dtype=torch.bool))
    proposals = Proposals(
        torch.tensor([[12.0, 8, 32, 30], [0, 0, 9, 9], [42, 40, 66, 58], [1, 1, 4, 4]]),
        torch.tensor([2, 3, 0, 3]),
        torch.tensor([0, 0, 1, 0]),
    )
    losses = head.losses(logits, deltas, [proposals], [target])
    log_p = logits.log_softmax(1)
    wanted_cls = -sum(log_p[i, k] for i, k in enumerate(proposals.labels.tolist())) / 4
    wanted_box = torch.zeros(())
    for i, g in ((0, 0), (2, 1)):
        box, gt_box = proposals.boxes[i], gt[g]
        size = box[2:] - box[:2]
        shift = 10 * ((gt_box[:2] + gt_box[2:]) - (box[:2] + box[2:])) / 2 / size
        scale = 5 * ((gt_box[2:] - gt_box[:2]) / size).log()
        own = deltas[i, 0 if agnostic else proposals.labels[i]]
        for error in (own - torch.cat([shift, scale])).abs():
            quadratic = loss == "smooth_l1" and error < 1
            wanted_box = wanted_box + (error**2 / 2 if quadratic else error - (loss != "l1") / 2)
    torch.testing.assert_close(losses["loss_cls"], wanted_cls)
    torch.testing.assert_close(losses["loss_box"], wanted_box / 4)


def test_refining_applies_the_deltas_of_the_ground_truth_class() -> None:
    head = box_head()
    boxes = torch.tensor([[0.0, 0, 10, 10], [5, 5, 25, 45]])
    parts = [
        Proposals(boxes[:1], torch.tensor([1]), torch.tensor([0])),
        Proposals(boxes[1:], torch.tensor([NUM_CLASSES]), torch.tensor([0])),
    ]
    deltas = torch.zeros(2, NUM_CLASSES, 4)
    deltas[0, 1, 0] = 10.0  # one width to the right, for class 1 alone
    first, second = head.refine(deltas, parts)
    torch.testing.assert_close(first.boxes, torch.tensor([[10.0, 0, 20, 10]]))
    torch.testing.assert_close(second.boxes, boxes[1:])
    assert first.labels.tolist() == [1]


def test_refining_applies_the_only_deltas_if_classes_share_them() -> None:
    head = box_head(class_agnostic_boxes=True)
    boxes = torch.tensor([[0.0, 0, 10, 10], [5, 5, 25, 45]])
    proposals = Proposals(boxes, torch.tensor([1, NUM_CLASSES]), torch.tensor([0, 0]))
    deltas = torch.tensor([[[10.0, 0, 0, 0]], [[0, 10.0, 0, 0]]])
    (refined,) = head.refine(deltas, [proposals])
    torch.testing.assert_close(refined.boxes, torch.tensor([[10.0, 0, 20, 10], [5, 45, 25, 85]]))


@pytest.mark.parametrize(("resolution", "layers"), [(7, 2), (10, 4)])
def test_the_head_is_roi_features_and_its_layers(resolution: int, layers: int) -> None:
    head = box_head(box_roi_resolution=resolution, box_head_layers=layers)
    feature = torch.randn(1, CHANNELS, 20, 20, generator=torch.Generator().manual_seed(0))
    features = {f"p{i}": feature for i in range(2, 6)}
    boxes = torch.tensor([[3.0, 4, 50, 61], [10, 0, 33, 79]])  # small enough for p2
    x = roi_align(feature, [boxes], resolution, 0.25, 0, True).flatten(1)
    for number in range(1, layers + 1):
        x = F.relu(getattr(head, f"fc{number}")(x))
    logits, deltas = head(features, [boxes])
    torch.testing.assert_close(logits, head.cls_score(x), atol=1e-5, rtol=1e-4)
    wanted = head.bbox_pred(x).view(2, NUM_CLASSES, 4)
    torch.testing.assert_close(deltas, wanted, atol=1e-5, rtol=1e-4)
    assert not hasattr(head, f"fc{layers + 1}")


def slow_detections(
    head: FcBoxHead, logits: Tensor, boxes: Tensor, size: tuple[int, int]
) -> list[tuple[float, int, list[float]]]:
    scores = logits.softmax(1)
    found = []
    for label in range(NUM_CLASSES):
        sure = [i for i in range(len(scores)) if scores[i, label] > head.settings.score_threshold]
        clipped = boxes[sure, label]
        clipped[:, 0::2] = clipped[:, 0::2].clamp(0, size[1])
        clipped[:, 1::2] = clipped[:, 1::2].clamp(0, size[0])
        for k in slow_nms(clipped, scores[sure, label], head.settings.nms_iou):
            found.append((scores[sure[k], label].item(), label, clipped[k].tolist()))
    return sorted(found, reverse=True)[: head.settings.detections_per_image]


@pytest.mark.parametrize(("limit", "agnostic"), [(5, False), (100, False), (100, True)])
def test_detections_are_those_of_a_slow_implementation(limit: int, agnostic: bool) -> None:
    head = box_head(detections_per_image=limit, score_threshold=0.1, class_agnostic_boxes=agnostic)
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(30, NUM_CLASSES + 1, generator=generator) * 2
    deltas = torch.randn(30, 1 if agnostic else NUM_CLASSES, 4, generator=generator)
    corner = torch.rand(30, 2, generator=generator) * 60
    proposals = torch.cat([corner, corner + 10 + torch.rand(30, 2, generator=generator) * 30], 1)
    sizes = [(70, 90), (50, 64)]
    got = head.detect(logits, deltas, [proposals[:20], proposals[20:]], sizes)
    boxes = decode_boxes(deltas, proposals[:, None], (10.0, 10.0, 5.0, 5.0))
    boxes = boxes.repeat(1, NUM_CLASSES if agnostic else 1, 1)
    for part, rows, size in zip(got, (slice(0, 20), slice(20, 30)), sizes, strict=True):
        wanted = slow_detections(head, logits[rows], boxes[rows].clone(), size)
        assert len(part[1]) == len(wanted) > 4
        torch.testing.assert_close(part[1], torch.tensor([s for s, _, _ in wanted]))
        assert part[2].tolist() == [label for _, label, _ in wanted]
        torch.testing.assert_close(part[0], torch.tensor([b for _, _, b in wanted]))
