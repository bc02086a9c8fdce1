"""Scales, ticks, paths and labels of the small plots, against what they are defined as."""

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_curves import follow

from pointrend_repro.reporting.pictures.plot import (
    Scale,
    linear_ticks,
    log_ticks,
    path,
    place_labels,
)

POINT = st.tuples(st.integers(-500, 500), st.integers(-500, 500))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.none() | POINT, max_size=30))
def test_a_path_goes_through_its_points(points: list[tuple[int, int] | None]) -> None:
    text = path(points)
    runs = [follow(run) for run in re.findall(r"M[^M]*", text)]
    wanted: list[list[tuple[int, int]]] = [[]]
    for point in points:
        if point is None:
            wanted.append([])
        else:
            wanted[-1].append(point)
    # A lonely point is told twice, so that it is drawn.
    assert runs == [run * 2 if len(run) == 1 else run for run in wanted if run]


def test_a_path_wastes_no_characters() -> None:
    assert path([(10, 20), (13, 18), (12, 25), (12, 25)]) == "M10 20l3-2-1 7 0 0"


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 1e5), st.floats(1e-3, 1e5), st.integers(2, 6))
def test_ticks_are_round_and_on_the_scale(low: float, extent: float, wanted: int) -> None:
    scale = Scale(low, low + extent, 0, 10_000)
    ticks = linear_ticks(scale, wanted)
    assert wanted / 2.5 - 1 <= len(ticks) <= 2.5 * wanted + 1
    numbers = [float(tick.text.replace(",", "")) for tick in ticks]
    assert len(set(numbers)) == len(numbers)
    for tick, number in zip(ticks, numbers, strict=True):
        assert scale.low - 1e-6 * extent <= number <= scale.high + 1e-6 * extent
        assert abs(scale(number) - tick.at) <= 1


def test_a_logarithmic_scale() -> None:
    scale = Scale(0.1, 100, 0, 300, logarithmic=True)
    assert [scale(v) for v in (0.1, 1, 10, 100, 1000)] == [0, 100, 200, 300, 300]
    assert [(t.at, t.text) for t in log_ticks(scale)] == [
        (0, "0.1"), (100, "1"), (200, "10"), (300, "100")
    ]  # fmt: skip
    short = Scale(0.5, 4, 0, 300, logarithmic=True)
    assert [t.text for t in log_ticks(short)] == ["0.5", "1", "2"]


def test_a_scale_of_one_number_has_it_in_the_middle() -> None:
    assert Scale(3, 3, 0, 100)(3) == 50


def test_labels_avoid_each_other_and_the_edge() -> None:
    points = [(100, 200), (110, 204), (690, 200)]
    labels = place_labels(points, ["first head", "second head", "third head"], (84, 24, 696, 360))
    assert labels[2].anchor != "start"
    boxes = []
    for label in labels:
        width = 125
        left = label.x - {"start": 0, "middle": width / 2, "end": width}[label.anchor]
        boxes.append((left, label.y - 11, left + width, label.y + 11))
    for i, a in enumerate(boxes):
        assert a[0] >= 80
        assert a[2] <= 700
        for b in boxes[i + 1 :]:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


@pytest.mark.parametrize("text", ["a", "a long name of a head"])
def test_a_label_alone_stands_to_the_right(text: str) -> None:
    (label,) = place_labels([(200, 200)], [text], (84, 24, 696, 360))
    assert (label.anchor, label.y) == ("start", 200)
    assert label.x > 200
    assert not math.isnan(label.x)
