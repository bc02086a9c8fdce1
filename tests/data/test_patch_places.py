"""Where DeepMask's patches lie: the paper's distances, for any objects."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointrend_repro.data.patch_places import (
    Place,
    are_negative,
    canonical_place,
    draw_negative,
    jittered,
    object_px,
)

edges = st.floats(-50, 700)
sides = st.floats(1, 600)
seeds = st.integers(0, 2**32 - 1)
patches = st.sampled_from([112, 160, 224])


@st.composite
def boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    x, y = draw(edges), draw(edges)
    return x, y, x + draw(sides), y + draw(sides)


def test_objects_are_as_long_as_the_paper_says() -> None:
    assert {px: object_px(px) for px in (112, 160, 224)} == {112: 64, 160: 92, 224: 128}


@given(boxes(), patches)
def test_a_canonical_patch_has_its_object_in_the_middle(
    box: tuple[float, float, float, float], patch_px: int
) -> None:
    place = canonical_place(box, patch_px)
    # In pixels of the patch, from its upper left corner.
    left, top = place.x - place.scale * patch_px / 2, place.y - place.scale * patch_px / 2
    x0, x1 = (box[0] - left) / place.scale, (box[2] - left) / place.scale
    y0, y1 = (box[1] - top) / place.scale, (box[3] - top) / place.scale
    assert max(x1 - x0, y1 - y0) == pytest.approx(object_px(patch_px))
    assert x0 + x1 == pytest.approx(patch_px)
    assert y0 + y1 == pytest.approx(patch_px)


@given(boxes(), patches, seeds)
def test_jitter_stays_within_its_limits(
    box: tuple[float, float, float, float], patch_px: int, seed: int
) -> None:
    place = canonical_place(box, patch_px)
    moved = jittered(place, 16, 0.25, np.random.default_rng(seed))
    assert abs(math.log2(moved.scale / place.scale)) <= 0.25 + 1e-9
    assert abs(moved.x - place.x) <= 16 * moved.scale + 1e-6
    assert abs(moved.y - place.y) <= 16 * moved.scale + 1e-6
    # So it is never a negative: it is less than 32 pixels away, and by less than an octave.
    drawn = np.array([[moved.x, moved.y, moved.scale]])
    assert not are_negative(drawn, [place], min_px=32, min_octaves=1)[0]


@given(st.lists(boxes(), max_size=12), patches, seeds)
def test_negatives_are_far_from_every_object(
    objects: list[tuple[float, float, float, float]], patch_px: int, seed: int
) -> None:
    places = [canonical_place(box, patch_px) for box in objects]
    drawn, is_far = draw_negative(
        places,
        (480, 640),
        patch_px=patch_px,
        min_px=32,
        min_octaves=1,
        rng=np.random.default_rng(seed),
    )
    assert 0 <= drawn.x <= 640
    assert 0 <= drawn.y <= 480
    by_hand = all(
        math.hypot(drawn.x - p.x, drawn.y - p.y) / drawn.scale >= 32
        or abs(math.log2(drawn.scale / p.scale)) >= 1
        for p in places
    )
    assert is_far == by_hand
    octaves = math.log2(160 / patch_px / drawn.scale)
    assert -3 <= octaves <= 2
    assert octaves * 4 == pytest.approx(round(octaves * 4))


def test_an_image_full_of_objects_of_all_sizes_has_no_negative() -> None:
    grid = [
        Place(x, y, 2.0**octave)
        for x in range(0, 64, 4)
        for y in range(0, 64, 4)
        for octave in range(-2, 4)
    ]
    _, is_far = draw_negative(
        grid,
        (60, 60),
        patch_px=160,
        min_px=32,
        min_octaves=1,
        rng=np.random.default_rng(0),
    )
    assert not is_far
