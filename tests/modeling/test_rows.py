"""Sampling tables of rows: the numbers that `point_sample` gives, forward and backward."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pointrend_repro.modeling.points import point_sample, point_sample_in_boxes
from pointrend_repro.modeling.rows import neighbours_in_boxes, neighbours_in_maps, sample_rows


def rows_of(maps: Tensor) -> Tensor:
    return maps.permute(0, 2, 3, 1).flatten(0, 2)


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    channels=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_rows_are_sampled_as_maps_are(height: int, width: int, channels: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(3, channels, height, width, generator=generator)
    points = torch.rand(4, 7, 2, generator=generator) * 1.6 - 0.3  # some are outside
    which = torch.randint(0, 3, (4,), generator=generator)
    around = neighbours_in_maps(points, which, height, width)
    got = sample_rows(rows_of(maps), around).view(4, 7, channels)
    wanted = point_sample(maps[which], points).transpose(1, 2)
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)


@settings(max_examples=20, deadline=None)
@given(counts=st.lists(st.integers(0, 3), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_boxes_are_sampled_from_the_map_of_their_own_image(counts: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(len(counts), 2, 8, 12, generator=generator)
    corners = [torch.rand(n, 2, 2, generator=generator) * torch.tensor([48, 32]) for n in counts]
    boxes = [torch.cat([c.min(1).values, c.max(1).values], dim=1) for c in corners]
    points = torch.rand(sum(counts), 5, 2, generator=generator)
    around = neighbours_in_boxes(points, boxes, (8, 12), stride=4)
    got = sample_rows(rows_of(maps), around).view(sum(counts), 5, 2)
    wanted = point_sample_in_boxes(maps, points, boxes, stride=4).transpose(1, 2)
    torch.testing.assert_close(got, wanted, atol=1e-4, rtol=1e-4)


def test_gradients_are_those_of_sampling_maps() -> None:
    generator = torch.Generator().manual_seed(1)
    points = torch.rand(2, 30, 2, generator=generator)
    maps = torch.randn(2, 3, 5, 4, generator=generator, requires_grad=True)
    sums = torch.randn(2, 30, 3, generator=generator)
    point_sample(maps, points).transpose(1, 2).mul(sums).sum().backward()
    wanted, maps.grad = maps.grad, None
    around = neighbours_in_maps(points, torch.arange(2), 5, 4)
    sample_rows(rows_of(maps), around).view(2, 30, 3).mul(sums).sum().backward()
    torch.testing.assert_close(maps.grad, wanted)


@pytest.mark.parametrize("channels", [1, 3])
def test_no_points_make_no_rows(channels: int) -> None:
    around = neighbours_in_maps(torch.zeros(0, 7, 2), torch.zeros(0, dtype=torch.int64), 3, 3)
    assert sample_rows(torch.zeros(9, channels), around).shape == (0, channels)
