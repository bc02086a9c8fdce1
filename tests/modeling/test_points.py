"""Sampling and selecting points (section 3): against slow loops and torchvision."""

import pytest
import torch
from bilinear import bilinear
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.ops import roi_align

from pointrend_repro.modeling.points import (
    image_points,
    most_uncertain_points,
    point_sample,
    point_sample_in_boxes,
    regular_grid,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    channels=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_point_sample_is_bilinear_with_zeros_outside(
    height: int, width: int, channels: int, seed: int
) -> None:
    features = torch.randn(2, channels, height, width, generator=generator(seed))
    points = torch.rand(2, 7, 2, generator=generator(seed + 1)) * 1.6 - 0.3
    got = point_sample(features, points)
    assert got.shape == (2, channels, 7)
    for r in range(2):
        for c in range(channels):
            for p, (x, y) in enumerate(points[r].tolist()):
                wanted = bilinear(features[r, c].tolist(), x, y)
                assert got[r, c, p].item() == pytest.approx(wanted, abs=1e-4)


def test_point_sample_at_cell_centres_is_the_cells() -> None:
    features = torch.randn(1, 3, 4, 6, generator=generator())
    grid = regular_grid(4, 6)[None]
    torch.testing.assert_close(point_sample(features, grid), features.flatten(2))


def test_a_map_ends_half_a_cell_beyond_its_last_centre() -> None:
    ones = torch.ones(1, 1, 4, 4)
    points = torch.tensor([[[0.125, 0.5], [0.0, 0.5], [-0.125, 0.5], [1.0, 1.0]]])
    wanted = torch.tensor([[[1.0, 0.5, 0.0, 0.25]]])
    torch.testing.assert_close(point_sample(ones, points), wanted)


def test_regular_grid_goes_row_by_row() -> None:
    wanted = torch.tensor([[0.25, 1 / 6], [0.75, 1 / 6], [0.25, 0.5], [0.75, 0.5], [0.25, 5 / 6]])
    torch.testing.assert_close(regular_grid(3, 2)[:5], wanted)


def test_image_points_are_affine_in_the_box() -> None:
    boxes = torch.tensor([[10.0, 20.0, 30.0, 60.0], [0.0, 0.0, 1.0, 1.0]])
    points = torch.tensor([[[0.0, 0.0], [1.0, 1.0], [0.5, 0.25]]]).expand(2, -1, -1)
    wanted = torch.tensor([[10.0, 20.0], [30.0, 60.0], [20.0, 30.0]])
    torch.testing.assert_close(image_points(points, boxes)[0], wanted)
    torch.testing.assert_close(image_points(points, boxes)[1], points[1])


def random_boxes(count: int, width: float, height: float, seed: int, margin: float = 2.0) -> Tensor:
    """Boxes at least one pixel wide whose points stay `margin` away from the image's edge."""
    corners = torch.rand(count, 2, 2, generator=generator(seed))
    low, high = corners.min(1).values, corners.max(1).values
    size = torch.tensor([width, height]) - 2 * margin - 1
    return torch.cat([margin + low * size, margin + high * size + 1], dim=1)


@pytest.mark.parametrize("stride", [1, 4])
def test_a_regular_grid_in_a_box_is_roi_align_with_one_sample(stride: int) -> None:
    # Away from the edge, where RoIAlign repeats the last cell and PointRend sees zeros.
    features = torch.randn(2, 5, 16, 24, generator=generator())
    boxes = [random_boxes(3, 24 * stride, 16 * stride, seed, margin=stride) for seed in (1, 2)]
    grid = regular_grid(7, 7).expand(6, -1, -1)
    got = point_sample_in_boxes(features, grid, boxes, stride=stride).view(6, 5, 7, 7)
    wanted = roi_align(features, boxes, 7, 1 / stride, sampling_ratio=1, aligned=True)
    torch.testing.assert_close(got, wanted, atol=1e-4, rtol=1e-4)


@settings(max_examples=20, deadline=None)
@given(counts=st.lists(st.integers(0, 3), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_each_box_is_sampled_from_the_map_of_its_own_image(counts: list[int], seed: int) -> None:
    total = sum(counts)
    features = torch.randn(len(counts), 2, 8, 12, generator=generator(seed))
    points = torch.rand(total, 5, 2, generator=generator(seed + 1))
    boxes = [random_boxes(n, 48, 32, seed + i) for i, n in enumerate(counts)]
    got = point_sample_in_boxes(features, points, boxes, stride=4)
    assert got.shape == (total, 2, 5)
    region = 0
    for image, boxes_of_image in enumerate(boxes):
        for x0, y0, x1, y1 in boxes_of_image.tolist():
            for p, (u, v) in enumerate(points[region].tolist()):
                x, y = (x0 + u * (x1 - x0)) / 48, (y0 + v * (y1 - y0)) / 32
                for channel in range(2):
                    wanted = bilinear(features[image, channel].tolist(), x, y)
                    assert got[region, channel, p].item() == pytest.approx(wanted, abs=1e-4)
            region += 1


def test_sampling_is_differentiable_where_there_is_nothing_to_sample() -> None:
    features = torch.randn(2, 3, 4, 4, requires_grad=True)
    none = torch.zeros(0, 4)
    got = point_sample_in_boxes(features, torch.zeros(0, 5, 2), [none, none], stride=4)
    got.sum().backward()
    assert got.shape == (0, 3, 5)
    assert features.grad is not None


def test_wrong_shapes_raise_with_what_they_got() -> None:
    with pytest.raises(ValueError, match=r"\(1, 2, 3\) and \(1, 4, 2\)"):
        point_sample(torch.zeros(1, 2, 3), torch.zeros(1, 4, 2))
    with pytest.raises(ValueError, match=r"\(2, 1, 3, 3\) and \(1, 4, 2\)"):
        point_sample(torch.zeros(2, 1, 3, 3), torch.zeros(1, 4, 2))
    with pytest.raises(ValueError, match=r"\(1, 4, 3\)"):
        point_sample(torch.zeros(1, 1, 3, 3), torch.zeros(1, 4, 3))
    two_maps, one_region = torch.zeros(2, 1, 3, 3), torch.zeros(1, 4, 2)
    with pytest.raises(ValueError, match=r"2 maps, 1 regions of points and \[1\] boxes"):
        point_sample_in_boxes(two_maps, one_region, [torch.zeros(1, 4)], stride=1)
    boxes = [torch.zeros(1, 4), torch.zeros(2, 4)]
    with pytest.raises(ValueError, match=r"1 regions of points and \[1, 2\] boxes"):
        point_sample_in_boxes(two_maps, one_region, boxes, stride=1)
    with pytest.raises(ValueError, match="10 points of a 3x3 grid"):
        most_uncertain_points(torch.zeros(1, 3, 3), 10)


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 8), width=st.integers(1, 8), seed=st.integers(0, 99), data=st.data())
def test_most_uncertain_points_are_the_first_of_a_slow_sort(
    height: int, width: int, seed: int, data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, height * width))
    uncertainty = torch.rand(2, height, width, generator=generator(seed))
    index, points = most_uncertain_points(uncertainty, count)
    assert index.shape == (2, count)
    for region in range(2):
        cells = [(i, j) for i in range(height) for j in range(width)]
        cells.sort(key=lambda ij: -uncertainty[region][ij].item())
        assert index[region].tolist() == [i * width + j for i, j in cells[:count]]
        centres = torch.tensor([[(j + 0.5) / width, (i + 0.5) / height] for i, j in cells[:count]])
        torch.testing.assert_close(points[region], centres)
