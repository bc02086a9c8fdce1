"""Adaptive subdivision: against the paper's procedure written plainly, and the paper's counts."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pointrend_repro.modeling.points import (
    regular_grid,
    render_masks,
)
from pointrend_repro.modeling.steps import rendered_steps, subdivision_steps

PredictPoints = Callable[[Tensor], Tensor]


def blobs(regions: int, seed: int) -> PredictPoints:
    """Logits that depend on a point's place alone, different in each region."""
    wave = torch.randn(regions, 4, 2, generator=torch.Generator().manual_seed(seed)) * 5

    def predict(points: Tensor) -> Tensor:
        return torch.einsum("rpx,rwx->rpw", points, wave).sin().sum(-1)

    return predict


def paper_procedure(
    coarse: Tensor, predict: PredictPoints, resolution: int, points_per_step: int
) -> Tensor:
    """Section 3.1 word for word: upsample, select the N most uncertain, predict, repeat."""
    mask = coarse
    while mask.shape[-1] < resolution:
        side = 2 * mask.shape[-1]
        mask = F.interpolate(mask[:, None], scale_factor=2, mode="bilinear")[:, 0].clone()
        centres = regular_grid(side, side).view(side, side, 2)
        for region in range(len(mask)):
            cells = [(i, j) for i in range(side) for j in range(side)]
            cells.sort(key=lambda ij: abs(mask[region][ij].item()))
            for i, j in cells[:points_per_step]:
                points = torch.zeros(len(mask), 1, 2)
                points[region, 0] = centres[i, j]
                mask[region, i, j] = predict(points)[region, 0]
    return mask


@settings(max_examples=15, deadline=None)
@given(
    start=st.integers(2, 4),  # a 1x1 mask upsamples to ties, which may be broken either way
    doublings=st.integers(0, 3),
    points_per_step=st.integers(1, 100),
    seed=st.integers(0, 99),
)
def test_masks_are_those_of_the_full_procedure(
    start: int, doublings: int, points_per_step: int, seed: int
) -> None:
    """Rendering leaves out the steps that a later whole grid makes void; nobody can tell."""
    coarse = torch.randn(2, start, start, generator=torch.Generator().manual_seed(seed))
    predict = blobs(2, seed)
    resolution = start * 2**doublings
    wanted = paper_procedure(coarse, predict, resolution, points_per_step)
    got = render_masks(
        coarse, predict, output_resolution=resolution, points_per_step=points_per_step
    )
    torch.testing.assert_close(got, wanted, atol=1e-4, rtol=1e-4)


@settings(max_examples=50, deadline=None)
@given(start=st.integers(1, 32), doublings=st.integers(0, 6), points_per_step=st.integers(1, 5000))
def test_no_more_than_n_log2_points(start: int, doublings: int, points_per_step: int) -> None:
    resolution = start * 2**doublings
    steps = subdivision_steps(start, resolution, points_per_step)
    assert len(steps) == doublings == math.log2(resolution / start)
    assert sum(count for _, count in steps) <= points_per_step * doublings
    assert [side for side, _ in steps] == [start * 2**i for i in range(1, doublings + 1)]
    assert all(count == min(points_per_step, side**2) for side, count in steps)


def test_the_paper_s_example_of_7_to_224() -> None:
    steps = subdivision_steps(7, 224, 28**2)
    total = sum(count for _, count in steps)
    assert len(steps) == 5
    assert steps[0] == (14, 14**2)
    assert total == 28**2 * 4.25
    assert round(224**2 / total) == 15


def winners_steps(start: int, doublings: int, points_per_step: int) -> list[tuple[int, int]]:
    """The steps that the 3D-FUTURE challenge's winner computes points in, of those that matter.

    A step before the last only interpolates where all points of the next grid fit into it
    (3DFuture_ins_seg at commit 6caaf9cd, point_rend/roi_heads.py).
    """
    steps = []
    for step in range(doublings):
        side = start * 2 ** (step + 1)
        if points_per_step >= 4 * side**2 and step < doublings - 1:
            continue
        steps.append((side, min(points_per_step, side**2)))
    whole = [i for i, (side, count) in enumerate(steps) if count == side**2]
    return steps[whole[-1] :] if whole else steps


@settings(max_examples=100, deadline=None)
@given(start=st.integers(1, 32), doublings=st.integers(0, 6), points_per_step=st.integers(1, 6000))
def test_the_winner_s_rule_leaves_out_what_a_whole_grid_makes_void(
    start: int, doublings: int, points_per_step: int
) -> None:
    wanted = winners_steps(start, doublings, points_per_step)
    assert rendered_steps(start, start * 2**doublings, points_per_step) == wanted


def test_the_report_s_example_of_13_to_416() -> None:
    """4,900 points a step: 26 x 26 is skipped, and 52 x 52 predicted whole."""
    assert rendered_steps(13, 416, 70**2) == [(52, 52**2), (104, 4900), (208, 4900), (416, 4900)]


class CountedPredictor:
    """Counts the points that it is asked for in each region."""

    def __init__(self, predict: PredictPoints) -> None:
        self.predict = predict
        self.points = 0

    def __call__(self, points: Tensor) -> Tensor:
        self.points += points.shape[1]
        return self.predict(points)


@pytest.mark.parametrize("points_per_step", [1, 50, 196, 784, 10**6])
@pytest.mark.parametrize("resolution", [7, 14, 56, 224])
def test_asks_for_no_more_points_than_its_steps_say(resolution: int, points_per_step: int) -> None:
    predict = CountedPredictor(blobs(1, 0))
    coarse = torch.randn(1, 7, 7, generator=torch.Generator().manual_seed(1))
    masks = render_masks(
        coarse, predict, output_resolution=resolution, points_per_step=points_per_step
    )
    assert masks.shape == (1, resolution, resolution)
    allowed = sum(count for _, count in subdivision_steps(7, resolution, points_per_step))
    assert predict.points <= allowed
    if points_per_step <= 50:  # no step covers its whole grid: none is void
        assert predict.points == allowed


def test_a_constant_mask_stays_constant() -> None:
    coarse = torch.tensor([2.5, -1.0]).view(2, 1, 1).expand(2, 7, 7)
    masks = render_masks(
        coarse,
        lambda points: coarse[:, 0, :1].expand(2, points.shape[1]),
        output_resolution=56,
        points_per_step=30,
    )
    torch.testing.assert_close(masks, coarse[:, :1, :1].expand(2, 56, 56))


def test_selecting_every_point_is_dense_prediction() -> None:
    predict = blobs(3, 2)
    coarse = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(2))
    masks = render_masks(coarse, predict, output_resolution=32, points_per_step=32**2)
    dense = predict(regular_grid(32, 32).expand(3, -1, -1)).view(3, 32, 32)
    assert torch.equal(masks, dense)


def test_only_the_selected_points_change() -> None:
    coarse = torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(3))
    asked = []

    def predict(points: Tensor) -> Tensor:
        asked.append(points)
        return torch.full(points.shape[:2], 100.0)

    masks = render_masks(coarse, predict, output_resolution=16, points_per_step=20)
    upsampled = F.interpolate(coarse[:, None], scale_factor=2, mode="bilinear")[:, 0]
    (points,) = asked
    for region in range(2):
        cells = (points[region] * 16 - 0.5).round().long()
        selected = torch.zeros(16, 16, dtype=torch.bool)
        selected[cells[:, 1], cells[:, 0]] = True
        assert selected.sum() == 20
        assert (masks[region][selected] == 100).all()
        torch.testing.assert_close(masks[region][~selected], upsampled[region][~selected])
        # Whatever was left alone was at least as sure as all that was predicted anew.
        doubt = upsampled[region].abs()
        assert doubt[selected].max() <= doubt[~selected].min()


def test_rendering_at_the_coarse_resolution_predicts_nothing() -> None:
    predict = CountedPredictor(blobs(1, 0))
    coarse = torch.randn(1, 7, 7, generator=torch.Generator().manual_seed(4))
    masks = render_masks(coarse, predict, output_resolution=7, points_per_step=10)
    assert torch.equal(masks, coarse)
    assert predict.points == 0


@pytest.mark.parametrize("points_per_step", [10, 10**4])
def test_no_regions_make_no_masks(points_per_step: int) -> None:
    masks = render_masks(
        torch.zeros(0, 7, 7),
        lambda points: points[:, :, 0],
        output_resolution=28,
        points_per_step=points_per_step,
    )
    assert masks.shape == (0, 28, 28)


@pytest.mark.parametrize(("start", "resolution"), [(7, 100), (7, 4), (8, 28)])
def test_resolutions_that_no_doubling_reaches_raise(start: int, resolution: int) -> None:
    with pytest.raises(ValueError, match=f"{resolution} is not {start} times a power of 2"):
        subdivision_steps(start, resolution, 10)


def test_impossible_arguments_raise_with_what_they_got() -> None:
    with pytest.raises(ValueError, match="got 0 and 10"):
        subdivision_steps(0, 28, 10)
    with pytest.raises(ValueError, match="got 7 and 0"):
        subdivision_steps(7, 28, 0)
    with pytest.raises(ValueError, match=r"got \(1, 7, 8\)"):
        render_masks(torch.zeros(1, 7, 8), blobs(1, 0), output_resolution=28, points_per_step=5)
