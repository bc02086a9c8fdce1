"""Which cells of SOLOv2's grids learn which object, against a loop over cells, and OpenCV."""

import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from small_solov2 import HEAD, NUM_CLASSES, rectangles, small_settings

from pointrend_repro.data.structures import Target
from pointrend_repro.modeling.solov2.targets import image_targets, small_masks

HEIGHT, WIDTH, PADDED = 60, 90, (64, 96)


def slow_targets(target: Target, grid: int, low: float, high: float) -> tuple[np.ndarray, set]:
    """For each cell and object: is the cell in the middle of the object?"""
    labels = np.full((grid, grid), NUM_CLASSES)
    pairs = set()
    for k, (x0, y0, x1, y1) in enumerate(target.boxes.tolist()):
        if not low <= math.sqrt((x1 - x0) * (y1 - y0)) <= high or not target.masks[k].any():
            continue
        rows, columns = np.nonzero(target.masks[k].numpy())
        y, x, tall, wide = rows.mean(), columns.mean(), 0.1 * (y1 - y0), 0.1 * (x1 - x0)
        for place, reach, edge in ((y, tall, PADDED[0]), (x, wide, PADDED[1])):
            for end in (place - reach, place, place + reach):
                in_cells = end * grid / edge
                assume(abs(in_cells - round(in_cells)) > 1e-4)  # else rounding decides
        for i in range(grid):
            for j in range(grid):
                top, bottom = (edge * PADDED[0] / grid for edge in (i, i + 1))
                left, right = (edge * PADDED[1] / grid for edge in (j, j + 1))
                touches = y - tall < bottom and y + tall >= top
                touches &= x - wide < right and x + wide >= left
                beside = abs(i - int(y * grid / PADDED[0])) <= 1
                beside &= abs(j - int(x * grid / PADDED[1])) <= 1
                if touches and beside:
                    labels[i, j] = target.labels[k]
                    pairs.add((i * grid + j, k))
    return labels, pairs


boxes = st.tuples(
    st.integers(0, WIDTH - 2), st.integers(0, HEIGHT - 2), st.integers(2, 90), st.integers(2, 60)
).map(lambda b: [b[0], b[1], min(b[0] + b[2], WIDTH), min(b[1] + b[3], HEIGHT)])


@settings(max_examples=60, deadline=None)
@given(st.lists(boxes, max_size=4))
def test_cells_are_those_in_the_middle(corners: list[list[int]]) -> None:
    labels = [k % NUM_CLASSES for k in range(len(corners))]
    target = rectangles(corners, labels, HEIGHT, WIDTH)
    if corners:  # a hole moves the centre of mass
        x0, y0, x1, y1 = corners[0]
        target.masks[0, y0 : (y0 + y1) // 2, x0 : (x0 + x1) // 2] = False
    found = image_targets(target, PADDED, NUM_CLASSES, small_settings().head)
    for level, grid, (low, high) in zip(found, HEAD["grids"], HEAD["ranges_px"], strict=True):
        wanted, pairs = slow_targets(target, grid, low, high)
        np.testing.assert_array_equal(level.labels.reshape(grid, grid), wanted)
        assert set(zip(level.cells.tolist(), level.objects.tolist(), strict=True)) == pairs
        assert len(level.cells) == len(pairs)


def test_no_object_and_one_without_pixels_are_learned_by_no_cell() -> None:
    empty = rectangles([], [], HEIGHT, WIDTH)
    hidden = rectangles([[0, 0, 10, 10]], [1], HEIGHT, WIDTH)
    hidden.masks[:] = False
    for target in (empty, hidden):
        for level in image_targets(target, PADDED, NUM_CLASSES, small_settings().head):
            assert (level.labels == NUM_CLASSES).all()
            assert len(level.cells) == len(level.objects) == 0


@pytest.mark.parametrize("seed", range(3))
def test_small_masks_are_opencvs(seed: int) -> None:
    torch.manual_seed(seed)
    masks = torch.rand(5, HEIGHT, WIDTH) > 0.5
    small = small_masks(masks, PADDED)
    for mask, found in zip(masks.numpy(), small.numpy(), strict=True):
        whole = np.zeros(PADDED, dtype=np.uint8)
        whole[:HEIGHT, :WIDTH] = mask
        size = (PADDED[1] // 4, PADDED[0] // 4)
        wanted = cv2.resize(whole, size, interpolation=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(found, wanted)
