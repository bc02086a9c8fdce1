"""Masks over boxes onto images, against a loop over pixels, and back."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pointrend_repro.data.structures import Proposals, Target
from pointrend_repro.modeling.mask_heads.targets import crop_masks
from pointrend_repro.modeling.paste import paste_mask


def probability(mask: list[list[float]], x: float, y: float) -> float:
    """Bilinear value at (x, y) in cells of the mask, zero outside."""
    side = len(mask)
    left, top = math.floor(x - 0.5), math.floor(y - 0.5)
    value = 0.0
    for i in (top, top + 1):
        for j in (left, left + 1):
            if 0 <= i < side and 0 <= j < side:
                value += (1 - abs(y - 0.5 - i)) * (1 - abs(x - 0.5 - j)) * mask[i][j]
    return value


@settings(max_examples=40, deadline=None)
@given(
    side=st.integers(1, 8),
    x0=st.floats(-15, 30),
    y0=st.floats(-15, 30),
    box_width=st.floats(0.3, 40),
    box_height=st.floats(0.3, 40),
    seed=st.integers(0, 99),
)
def test_pasting_is_a_loop_over_pixel_centres(
    side: int, x0: float, y0: float, box_width: float, box_height: float, seed: int
) -> None:
    """Boxes lie inside the image of 24 x 20 pixels, partly outside, or wholly."""
    width, height = 24, 20
    logits = torch.randn(side, side, generator=torch.Generator().manual_seed(seed)) * 3
    box = torch.tensor([x0, y0, x0 + box_width, y0 + box_height])
    got = paste_mask(logits, box, height, width)
    x0, y0, x1, y1 = box.tolist()
    probabilities = logits.sigmoid().tolist()
    assert got.shape == (height, width)
    for i in range(height):
        for j in range(width):
            x = (j + 0.5 - x0) / (x1 - x0) * side
            y = (i + 0.5 - y0) / (y1 - y0) * side
            value = probability(probabilities, x, y)
            if abs(value - 0.5) > 1e-4:  # rounding may decide the others
                assert got[i, j] == (value > 0.5), (i, j, value)


def test_a_box_of_the_mask_s_own_size_reproduces_the_mask() -> None:
    logits = torch.randn(28, 28, generator=torch.Generator().manual_seed(0))
    got = paste_mask(logits, torch.tensor([5.0, 9.0, 33.0, 37.0]), 50, 60)
    wanted = np.zeros((50, 60), dtype=bool)
    wanted[9:37, 5:33] = (logits > 0).numpy()
    assert np.array_equal(got, wanted)


def test_a_full_mask_covers_the_pixels_whose_centres_its_box_covers() -> None:
    full = torch.full((7, 7), 50.0)
    got = paste_mask(full, torch.tensor([2.4, 3.6, 9.4, 7.6]), 12, 12)
    wanted = np.zeros((12, 12), dtype=bool)
    wanted[4:8, 2:9] = True  # centres 4.5..7.5 and 2.5..8.5
    assert got[4:7, 3:8].all()
    assert not (got & ~wanted).any()


@pytest.mark.parametrize(
    "box",
    [
        [30.0, 5, 40, 15],
        [-20, 5, -4, 15],
        [5, -9, 15, -3],
        [4, 4, 4, 9],
        [4, 4, 9, 4],
        [9, 9, 4, 4],
    ],
    ids=["right", "left", "above", "no width", "no height", "inside out"],
)
def test_boxes_outside_or_without_area_paste_nothing(box: list[float]) -> None:
    assert not paste_mask(torch.full((7, 7), 50.0), torch.tensor(box), 20, 20).any()


def test_probabilities_are_interpolated_and_not_logits() -> None:
    """Halfway between logits of 9 and -1 the mean logit is 4, the mean probability 0.63; at 7/8
    of the way it is 0.25 and 0.36: the two differ in sign there."""
    logits = torch.tensor([[9.0, -1.0]]).expand(2, 2)
    got = paste_mask(logits, torch.tensor([0.0, 0.0, 16.0, 2.0]), 2, 16)
    centres = np.arange(16) + 0.5
    share = np.clip((centres / 8 - 0.5), 0, 1)
    sigmoid = 1 / (1 + np.exp([-9.0, 1.0]))
    inside = (1 - share) * sigmoid[0] + share * sigmoid[1]
    interior = (centres > 4) & (centres < 12)
    assert np.array_equal(got[1][interior], inside[interior] >= 0.5)
    assert (((1 - share) * 9 - share >= 0) != (inside >= 0.5))[interior].any()


def disc(size: int) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return ((x - 30.3) / 17) ** 2 + ((y - 28.7) / 12) ** 2 <= 1


@pytest.mark.parametrize(("resolution", "floor"), [(14, 0.9), (28, 0.95), (56, 0.98)])
def test_cropping_and_pasting_are_inverse(resolution: int, floor: float) -> None:
    mask = disc(64)
    box = torch.tensor([[12.5, 15.0, 49.0, 42.25]])
    proposals = Proposals(box, torch.tensor([0]), torch.tensor([0]))
    target = Target(box, torch.tensor([0]), mask[None])
    crop = crop_masks([proposals], [target], resolution)[0]
    pasted = paste_mask((crop - 0.5) * 100, box[0], 64, 64)
    union = (mask.numpy() | pasted).sum()
    assert (mask.numpy() & pasted).sum() / union > floor
