"""Selective Search against OpenCV's own, which finds the same boxes in another order."""

from itertools import product

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pointrend_repro.modeling.selective_search import (
    MODES,
    first_regions,
    group,
    measure_of,
    search,
)


def picture(seed: int, height: int = 90, width: int = 120) -> NDArray[np.uint8]:
    """Rectangles of one colour each, and noise."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), 120, dtype=np.uint8)
    for _ in range(6):
        x, y = int(rng.integers(0, width - 30)), int(rng.integers(0, height - 30))
        right, bottom = x + int(rng.integers(15, 50)), y + int(rng.integers(15, 50))
        cv2.rectangle(image, (x, y), (right, bottom), rng.integers(0, 255, 3).tolist(), -1)
    noisy = image + rng.normal(0, 6, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(3))
def test_boxes_are_those_of_opencv(seed: int) -> None:
    """With its colours and its thresholds, which are not the paper's."""
    image = np.ascontiguousarray(picture(seed)[:, :, ::-1])
    theirs = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    theirs.setBaseImage(image)
    theirs.switchToSelectiveSearchFast()
    wanted = {(x, y, x + width, y + height) for x, y, width, height in theirs.process().tolist()}
    found = set()
    colors = [cv2.cvtColor(image, code) for code in (cv2.COLOR_BGR2HSV, cv2.COLOR_BGR2Lab)]
    measures = [measure_of(names) for names in MODES["fast"].similarities]
    for number, (color, k) in enumerate(product(colors, (150, 300, 450))):
        start = first_regions(color, k, min_size=100)
        for measure in measures:
            found |= set(group(measure, color, start, number))
    assert found == wanted
    assert len(wanted) > 20


def test_first_regions_are_as_labelled() -> None:
    found = first_regions(picture(3), 50, min_size=50)
    for region in range(len(found.boxes)):
        rows, columns = np.nonzero(found.labels == region)
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert found.boxes[region] == box
        assert found.sizes[region, 0] == len(rows)
        grown = cv2.dilate((found.labels == region).astype(np.uint8), np.ones((3, 3), np.uint8))
        near = set(np.unique(found.labels[grown > 0]).tolist()) - {region}
        assert found.neighbours[region] <= near  # `near` has both diagonals


def test_the_last_of_each_grouping_is_the_whole_image() -> None:
    image = picture(4)
    start = first_regions(image, 50, min_size=50)
    boxes = group(measure_of(("size", "fill")), image, start, 0)
    assert len(boxes) == 2 * len(start.boxes) - 1
    assert boxes[-1] == (0, 0, 120, 90)


def test_order_is_of_places_times_random_numbers() -> None:
    """Large regions, which are merged last, come early; the whole image has place 1 eight times."""
    image = picture(5)
    one, scores = search(image, "fast", np.random.default_rng(1))
    again, _ = search(image, "fast", np.random.default_rng(1))
    other, _ = search(image, "fast", np.random.default_rng(2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert set(map(tuple, one.tolist())) == set(map(tuple, other.tolist()))
    assert len(np.unique(one, axis=0)) == len(one)
    assert (np.diff(scores) <= 0).all()
    assert ((scores > 0) & (scores <= 1)).all()
    # Its rank is the least of eight random numbers.
    whole = one.tolist().index([0, 0, 120, 90])
    assert scores[whole] > 0.5
    areas = (one[:, 2:] - one[:, :2]).prod(axis=1)
    quarter = len(areas) // 4
    assert areas[:quarter].mean() > 2 * areas[-quarter:].mean()


def test_quality_has_more_than_fast() -> None:
    image = picture(6, 60, 60)
    fast, quality = (search(image, mode, np.random.default_rng(0))[0] for mode in MODES)
    assert len(quality) > len(fast)
    assert [len(list(product(*MODES[mode]))) for mode in ("fast", "quality")] == [8, 80]


@pytest.mark.parametrize("shape", [(1, 1), (2, 30), (40, 40)])
def test_an_image_of_one_region_is_proposed_as_a_whole(shape: tuple[int, int]) -> None:
    boxes, scores = search(np.full((*shape, 3), 90, np.uint8), "quality", np.random.default_rng(0))
    assert boxes.tolist() == [[0, 0, shape[1], shape[0]]]
    assert len(scores) == 1
