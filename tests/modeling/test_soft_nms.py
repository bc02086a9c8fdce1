"""Soft-NMS against the loop of its paper, and what must hold for any boxes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.ops import batched_nms, box_iou

from pointrend_repro.modeling.soft_nms import decayed, soft_suppress


def slow_soft_nms(
    boxes: Tensor, scores: Tensor, labels: Tensor, iou: float, least: float
) -> list[tuple[int, float]]:
    """Bodla et al., Figure 2, without an early end: pick the best, lower the rest, and repeat."""
    waiting = {i: float(score) for i, score in enumerate(scores)}
    picked = []
    while waiting:
        best = max(waiting, key=lambda i: (waiting[i], -i))
        picked.append((best, waiting.pop(best)))
        for i in waiting:
            overlap = box_iou(boxes[i : i + 1], boxes[best : best + 1]).item()
            if labels[i] == labels[best] and overlap > iou:
                waiting[i] *= 1 - overlap
    return [(i, score) for i, score in picked if score >= least]


@st.composite
def crowds(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    count = draw(st.integers(0, 9))
    corner, side = st.integers(0, 20), st.integers(1, 30)
    rows = [(draw(corner), draw(corner), draw(side), draw(side)) for _ in range(count)]
    boxes = torch.tensor(
        [[x, y, x + w, y + h] for x, y, w, h in rows], dtype=torch.float32
    ).reshape(-1, 4)
    scores = torch.tensor([draw(st.floats(0, 1, width=32)) for _ in rows])
    labels = torch.tensor([draw(st.integers(0, 1)) for _ in rows], dtype=torch.int64)
    return boxes, scores, labels


@settings(max_examples=80, deadline=None)
@given(crowd=crowds(), iou=st.sampled_from([0.0, 0.3, 0.5, 1.0]), least=st.floats(0.0, 0.5))
def test_it_is_the_loop_of_the_paper(
    crowd: tuple[Tensor, Tensor, Tensor], iou: float, least: float
) -> None:
    kept, new = soft_suppress(*crowd, iou=iou, least=least)
    # Rounding may decide what is at `least` exactly, and the order of equal scores.
    slow = dict(slow_soft_nms(*crowd, iou=iou, least=0.0))
    assert {i for i in slow if slow[i] > least + 1e-5} <= set(kept.tolist())
    assert {i for i in slow if slow[i] < least - 1e-5}.isdisjoint(kept.tolist())
    assert new.tolist() == pytest.approx([slow[i] for i in kept.tolist()], abs=1e-5)
    assert new.tolist() == sorted(new.tolist(), reverse=True)


@settings(max_examples=40, deadline=None)
@given(crowd=crowds())
def test_boxes_that_do_not_overlap_keep_their_scores(crowd: tuple[Tensor, Tensor, Tensor]) -> None:
    boxes, scores, labels = crowd
    apart = batched_nms(boxes, scores, labels, 0.0)
    kept, new = soft_suppress(boxes[apart], scores[apart], labels[apart], iou=0.0, least=0.0)
    torch.testing.assert_close(new, scores[apart][kept])
    assert sorted(kept.tolist()) == list(range(len(apart)))


def test_a_lowered_box_lowers_what_follows_it_by_its_own_turn() -> None:
    """The middle of three is lowered by the first, and then still lowers the third."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 4, 10, 14], [0, 8, 10, 18]])  # IoU 3/7, 1/9, 3/7
    kept, new = soft_suppress(
        boxes, torch.tensor([0.9, 0.8, 0.3]), torch.zeros(3, dtype=torch.int64), iou=0.4, least=0.0
    )
    assert kept.tolist() == [0, 1, 2]
    torch.testing.assert_close(new, torch.tensor([0.9, 0.8 * 4 / 7, 0.3 * 4 / 7]))


def test_equal_boxes_leave_one() -> None:
    boxes = torch.tensor([[3.0, 3, 9, 9]]).repeat(4, 1)
    scores, labels = torch.tensor([0.5, 0.9, 0.9, 0.1]), torch.zeros(4, dtype=torch.int64)
    kept, new = soft_suppress(boxes, scores, labels, iou=0.5, least=0.001)
    assert kept.tolist() == [1]
    assert new.tolist() == pytest.approx([0.9])


def test_overlaps_may_be_those_of_masks() -> None:
    overlaps = torch.tensor([[1.0, 0.6, 0.0], [0.6, 1.0, 0.5], [0.0, 0.5, 1.0]])
    new = decayed(overlaps, torch.tensor([0.2, 0.7, 0.6]), iou=0.5, least=0.0)
    assert new.tolist() == pytest.approx([0.2 * 0.4, 0.7, 0.6])  # 0.5 is not above 0.5
