"""RoIAlign on rows against torchvision's."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import roi_align

from pointrend_repro.modeling.roi_rows import roi_align_rows

HEIGHT, WIDTH, STRIDE = 12, 17, 4


def make_rois(seed: int, count: int, longest_px: float) -> torch.Tensor:
    """RoIs from points to more than the image, inside, across its edges and outside."""
    generator = torch.Generator().manual_seed(seed)
    extent = torch.tensor([WIDTH, HEIGHT]) * STRIDE
    centres = (torch.rand(count, 2, generator=generator) * 1.4 - 0.2) * extent
    sides = longest_px ** torch.rand(count, 2, generator=generator) - 1
    numbers = torch.randint(0, 2, (count, 1), generator=generator)
    return torch.cat([numbers, centres - sides / 2, centres + sides / 2], dim=1)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 999),
    count=st.sampled_from([1, 3, 40]),
    resolution=st.sampled_from([1, 2, 7]),
    longest_px=st.sampled_from([5.0, 60.0, 400.0]),
    channels_last=st.booleans(),
)
def test_rows_give_torchvision_s_crops_and_gradients(
    *, seed: int, count: int, resolution: int, longest_px: float, channels_last: bool
) -> None:
    rois = make_rois(seed, count, longest_px).double()
    layout = torch.channels_last if channels_last else torch.contiguous_format
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(2, 3, HEIGHT, WIDTH, generator=generator, dtype=torch.double)
    weights = torch.randn(count, 3, resolution, resolution, generator=generator).double()
    gradients = []
    for align in (
        lambda x: roi_align_rows(x, rois, resolution, STRIDE),
        lambda x: roi_align(x, rois, resolution, 1 / STRIDE, sampling_ratio=0, aligned=True),
    ):
        x = maps.clone(memory_format=layout).requires_grad_()
        crops = align(x)
        (crops * weights).sum().backward()
        gradients.append((crops.detach(), x.grad))
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("side", [40, 2000])
def test_a_constant_map_stays_constant_inside_of_it(side: int) -> None:
    maps = torch.full((1, 5, side // STRIDE, side // STRIDE), 3.0)
    rois = torch.tensor([[0.0, 0, 0, side, side], [0, 3.3, 4.1, side - 5, side - 2.2]])
    crops = roi_align_rows(maps, rois, 7, STRIDE)
    assert crops.shape == (2, 5, 7, 7)
    torch.testing.assert_close(crops, torch.full_like(crops, 3.0), rtol=1e-4, atol=0)
