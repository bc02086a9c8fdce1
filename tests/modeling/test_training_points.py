"""Points of a training step (section 3.1, Training): against the paper's three principles."""

import math

import pytest
import torch
from bilinear import bilinear
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pointrend_repro.modeling.points import (
    binary_uncertainty,
    point_sample,
    sample_training_points,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def training_points(
    logits: Tensor, *, n: int, k: float, beta: float, seed: int = 0
) -> tuple[Tensor, list[Tensor]]:
    """Sampled points of coarse logits (R, H, W), and the candidates that were shown."""
    shown = []

    def uncertainty(points: Tensor) -> Tensor:
        shown.append(points)
        return binary_uncertainty(point_sample(logits.unsqueeze(1), points)).squeeze(1)

    points = sample_training_points(
        uncertainty,
        len(logits),
        n,
        oversample_ratio=k,
        importance_ratio=beta,
        generator=generator(seed),
    )
    return points, shown


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 60),
    k=st.floats(1, 10),
    beta=st.floats(0, 1),
    regions=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_training_points_are_the_paper_s_three_principles(
    n: int, k: float, beta: float, regions: int, seed: int
) -> None:
    logits = torch.randn(regions, 7, 7, generator=generator(seed))
    points, (candidates,) = training_points(logits, n=n, k=k, beta=beta, seed=seed)
    assert candidates.shape == (regions, math.ceil(k * n), 2)
    assert points.shape == (regions, n, 2)
    assert ((points >= 0) & (points <= 1)).all()
    important = int(beta * n)
    for region in range(regions):
        by_doubt = sorted(
            candidates[region].tolist(),
            key=lambda xy: abs(bilinear(logits[region].tolist(), *xy)),
        )
        chosen = {tuple(p) for p in points[region, :important].tolist()}
        threshold = abs(bilinear(logits[region].tolist(), *by_doubt[max(important - 1, 0)]))
        assert len(chosen) == important
        assert chosen <= {tuple(p) for p in by_doubt}
        for x, y in chosen:
            assert abs(bilinear(logits[region].tolist(), x, y)) <= threshold + 1e-4
        # Coverage points are fresh: none of the candidates, whatever their uncertainty.
        fresh = {tuple(p) for p in points[region, important:].tolist()}
        assert not fresh & {tuple(p) for p in by_doubt}


def half_plane() -> Tensor:
    """Coarse logits of one region that change sign at x = 0.5."""
    return torch.linspace(-6, 6, 14).expand(1, 14, 14).contiguous()


def cell_counts(points: Tensor, cells: int) -> Tensor:
    index = (points * cells).long().clamp(max=cells - 1)
    return torch.bincount(index[:, 1] * cells + index[:, 0], minlength=cells * cells)


def chi_square(points: Tensor, cells: int = 4) -> float:
    counts = cell_counts(points, cells).double()
    expected = len(points) / cells**2
    return float(((counts - expected) ** 2 / expected).sum())


# The 0.999 quantile of chi-square with 15 degrees of freedom.
CHI_SQUARE_LIMIT = 37.7


def test_k1_beta0_is_uniform() -> None:
    points, _ = training_points(half_plane(), n=4000, k=1, beta=0.0)
    assert chi_square(points[0]) < CHI_SQUARE_LIMIT


def test_coverage_points_are_uniform_whatever_the_prediction() -> None:
    points, _ = training_points(half_plane(), n=8000, k=3, beta=0.5)
    assert chi_square(points[0, 4000:]) < CHI_SQUARE_LIMIT
    assert chi_square(points[0, :4000]) > 20 * CHI_SQUARE_LIMIT


def test_points_come_nearer_to_the_boundary_from_uniform_to_heavily_biased() -> None:
    def distance(k: float, beta: float) -> float:
        points, _ = training_points(half_plane(), n=196, k=k, beta=beta)
        return float((points[0, :, 0] - 0.5).abs().mean())

    uniform, mild, heavy, extreme = (
        distance(*kb) for kb in ((1, 0), (3, 0.75), (10, 0.75), (10, 1))
    )
    assert uniform > mild > heavy > extreme
    assert uniform == pytest.approx(0.25, abs=0.03)
    # All but those near the upper and lower edge, where the zeros beyond the map blend in.
    points, _ = training_points(half_plane(), n=196, k=10, beta=1.0)
    assert (points[0, :, 0] - 0.5).abs().quantile(0.95) < 0.06


def test_the_prediction_is_interpolated_and_not_its_uncertainty() -> None:
    """Between +5 and -5 lies a zero crossing that interpolated uncertainties do not show."""
    logits = torch.tensor([[[5.0, -5.0]]])
    middle = torch.tensor([[[0.5, 0.5], [0.25, 0.5]]])
    right = binary_uncertainty(point_sample(logits[None], middle))
    wrong = point_sample(binary_uncertainty(logits[None]), middle)
    assert right[0, 0].tolist() == [0.0, -5.0]
    assert wrong[0, 0].tolist() == [-5.0, -5.0]
    points, _ = training_points(logits, n=50, k=10, beta=1.0)
    assert (points[0, :, 0] - 0.5).abs().quantile(0.95) < 0.1


def test_uncertainty_ranks_as_the_distance_of_the_probability_from_one_half() -> None:
    logits = torch.randn(200, generator=generator()) * 3
    by_logit = binary_uncertainty(logits).argsort(descending=True)
    by_probability = (logits.sigmoid() - 0.5).abs().argsort()
    assert by_logit.tolist() == by_probability.tolist()
    assert binary_uncertainty(torch.zeros(1)).item() == 0


def test_sampling_needs_no_gradient_and_repeats_with_its_generator() -> None:
    logits = half_plane().requires_grad_()
    first, _ = training_points(logits, n=20, k=3, beta=0.75, seed=4)
    again, _ = training_points(logits, n=20, k=3, beta=0.75, seed=4)
    other, _ = training_points(logits, n=20, k=3, beta=0.75, seed=5)
    assert not first.requires_grad
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(("k", "beta"), [(0.9, 0.5), (3.0, 1.1), (3.0, -0.1)])
def test_impossible_sampling_parameters_raise_with_what_they_got(k: float, beta: float) -> None:
    with pytest.raises(ValueError, match=f"got k={k}, beta={beta}"):
        training_points(half_plane(), n=10, k=k, beta=beta)
