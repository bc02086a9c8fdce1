"""Box coding, matching, sampling and anchors, against slow loops and properties."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pointrend_repro.modeling.anchors import cell_anchors, grid_anchors
from pointrend_repro.modeling.boxes import (
    clip_boxes,
    decode_boxes,
    encode_boxes,
    is_nonempty,
    match_boxes,
    sample_matches,
)

coordinates = st.floats(-200, 800)
sizes = st.floats(1, 600)


@st.composite
def boxes_of(draw: st.DrawFn, count: int = 4) -> Tensor:
    boxes = []
    for _ in range(count):
        x, y = draw(coordinates), draw(coordinates)
        boxes.append([x, y, x + draw(sizes), y + draw(sizes)])
    return torch.tensor(boxes, dtype=torch.float64)


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)])
@settings(max_examples=30, deadline=None)
@given(boxes=boxes_of(), references=boxes_of())
def test_decoding_undoes_encoding(
    weights: tuple[float, float, float, float], boxes: Tensor, references: Tensor
) -> None:
    # Growth beyond 62.5 times is clamped on purpose.
    growth = (boxes[:, 2:] - boxes[:, :2]) / (references[:, 2:] - references[:, :2])
    wanted = boxes[(growth < 62).all(1)]
    references = references[(growth < 62).all(1)]
    deltas = encode_boxes(wanted, references, weights)
    torch.testing.assert_close(decode_boxes(deltas, references, weights), wanted)


def test_deltas_are_those_of_the_r_cnn_paper() -> None:
    reference = torch.tensor([[10.0, 10.0, 30.0, 50.0]])
    box = torch.tensor([[20.0, 10.0, 60.0, 30.0]])  # centre 20 right, 10 up; twice, half the size
    deltas = encode_boxes(box, reference, (10.0, 10.0, 5.0, 5.0))
    wanted = torch.tensor([[10.0, -2.5, 5 * math.log(2), -5 * math.log(2)]])
    torch.testing.assert_close(deltas, wanted)


def test_boxes_cannot_explode() -> None:
    reference = torch.tensor([[0.0, 0.0, 16.0, 16.0]])
    box = decode_boxes(torch.tensor([[0.0, 0.0, 1e4, 1e4]]), reference, (1.0, 1.0, 1.0, 1.0))
    torch.testing.assert_close(box[:, 2:] - box[:, :2], torch.tensor([[1000.0, 1000.0]]))


def test_decoding_broadcasts_over_classes() -> None:
    deltas = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    references = torch.tensor([[0.0, 0, 10, 20], [5, 5, 9, 9], [1, 2, 3, 4]])
    weights = (10.0, 10.0, 5.0, 5.0)
    together = decode_boxes(deltas, references.unsqueeze(1), weights)
    for k in range(5):
        torch.testing.assert_close(together[:, k], decode_boxes(deltas[:, k], references, weights))


def test_clipping_and_emptiness() -> None:
    boxes = torch.tensor([[-5.0, -5, 5, 5], [90, 10, 120, 60], [110, 0, 130, 10], [3, 3, 3, 9]])
    clipped = clip_boxes(boxes, (50, 100))
    wanted = [[0, 0, 5, 5], [90, 10, 100, 50], [100, 0, 100, 10], [3, 3, 3, 9]]
    assert clipped.tolist() == wanted
    assert is_nonempty(clipped).tolist() == [True, True, False, False]


def slow_iou(a: list[float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    overlap = max(width, 0) * max(height, 0)
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (a, b)]
    return overlap / (sum(areas) - overlap)


def slow_match(
    boxes: Tensor, gt_boxes: Tensor, low: float, high: float, keep_best: bool
) -> tuple[list[int], list[int]]:
    iou = [[slow_iou(b, g) for g in gt_boxes.tolist()] for b in boxes.tolist()]
    index, state = [], []
    for row in iou:
        best = max(row, default=0)
        index.append(row.index(best) if row else 0)
        state.append(0 if best < low else 1 if best >= high else -1)
    if keep_best:
        for g in range(len(gt_boxes)):
            best = max(row[g] for row in iou)
            for b, row in enumerate(iou):
                if row[g] == best > 0:
                    state[b] = 1
    return index, state


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    gt_count=st.integers(0, 4),
    keep_best=st.booleans(),
    low_high=st.sampled_from([(0.3, 0.7), (0.5, 0.5), (0.1, 0.2)]),
)
def test_matching_is_a_slow_loop_s(
    seed: int, gt_count: int, keep_best: bool, low_high: tuple[float, float]
) -> None:
    generator = torch.Generator().manual_seed(seed)

    def boxes(count: int) -> Tensor:  # small whole numbers: ties and exact matches occur
        corner = torch.randint(0, 8, (count, 2), generator=generator)
        size = torch.randint(1, 8, (count, 2), generator=generator)
        return torch.cat([corner, corner + size], dim=1).double()

    candidates, gt_boxes = boxes(12), boxes(gt_count)
    index, state = match_boxes(
        candidates,
        gt_boxes,
        negative_below=low_high[0],
        positive_from=low_high[1],
        keep_best_of_each_gt=keep_best,
    )
    wanted_index, wanted_state = slow_match(candidates, gt_boxes, *low_high, keep_best)
    assert state.tolist() == wanted_state
    if gt_count:
        iou = [[slow_iou(b, g) for g in gt_boxes.tolist()] for b in candidates.tolist()]
        for got, wanted, row in zip(index.tolist(), wanted_index, iou, strict=True):
            assert row[got] == row[wanted]  # equal overlaps may be resolved either way
    else:
        assert index.tolist() == wanted_index


def test_an_object_that_no_box_touches_makes_no_foreground() -> None:
    boxes = torch.tensor([[0.0, 0, 4, 4], [2, 2, 6, 6]])
    gt_boxes = torch.tensor([[50.0, 50, 60, 60]])
    _, state = match_boxes(
        boxes, gt_boxes, negative_below=0.3, positive_from=0.7, keep_best_of_each_gt=True
    )
    assert state.tolist() == [0, 0]


@settings(max_examples=60, deadline=None)
@given(
    states=st.lists(st.sampled_from([-1, 0, 1]), max_size=40),
    count=st.integers(1, 20),
    fraction=st.floats(0, 1),
)
def test_sampling_respects_counts_and_draws_nothing_ignored(
    states: list[int], count: int, fraction: float
) -> None:
    state = torch.tensor(states, dtype=torch.int64)
    positive, negative = sample_matches(state, count, fraction)
    assert (state[positive] == 1).all()
    assert (state[negative] == 0).all()
    assert len(set(positive.tolist())) == len(positive)
    assert len(set(negative.tolist())) == len(negative)
    assert len(positive) == min(states.count(1), int(count * fraction))
    assert len(negative) == min(states.count(0), count - len(positive))


def test_sampling_draws_each_box_equally_often() -> None:
    torch.manual_seed(0)
    state = torch.tensor([1] * 10 + [0] * 30 + [-1] * 5)
    drawn = torch.zeros(45)
    for _ in range(1000):
        for part in sample_matches(state, 12, 0.25):
            drawn[part] += 1
    assert ((drawn[:10] - 300).abs() < 75).all()  # 3 of 10; five standard deviations
    assert ((drawn[10:40] - 300).abs() < 75).all()  # 9 of 30
    assert (drawn[40:] == 0).all()


@pytest.mark.parametrize("size_px", [32, 512])
def test_cell_anchors_have_the_area_and_the_ratios(size_px: int) -> None:
    anchors = cell_anchors(size_px, (0.5, 1.0, 2.0))
    width, height = (anchors[:, 2:] - anchors[:, :2]).unbind(1)
    torch.testing.assert_close(width * height, torch.full((3,), float(size_px**2)))
    torch.testing.assert_close(height / width, torch.tensor([0.5, 1.0, 2.0]))
    torch.testing.assert_close(anchors[:, :2], -anchors[:, 2:])


def test_grid_anchors_are_centred_on_the_cells_corners() -> None:
    cell = cell_anchors(32, (0.5, 1.0, 2.0))
    anchors = grid_anchors(cell, torch.zeros(1, 8, 2, 3), stride=16)
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    wanted = [[j * 16.0, i * 16.0] for i in range(2) for j in range(3) for _ in range(3)]
    torch.testing.assert_close(centres, torch.tensor(wanted))
    torch.testing.assert_close(anchors[:3], cell)
    torch.testing.assert_close(
        anchors[2::3] - torch.tensor(wanted[2::3]).repeat(1, 2), cell[2:].expand(6, 4)
    )
