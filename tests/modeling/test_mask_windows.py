"""Pasting and run-length encoding by windows, against pasting over the whole image."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from pointrend_repro.modeling.paste import MaskWindow, mask_window
from pointrend_repro.predictions.rle import encode_window, run_lengths

HEIGHT, WIDTH = 20, 24


def encode_whole(mask: NDArray[np.bool_]) -> dict[str, object]:
    rle = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(rle["size"]), "counts": rle["counts"].decode()}


def paste_whole(logits: torch.Tensor, box: torch.Tensor) -> NDArray[np.bool_]:
    """Sample the mask at every pixel of the image, as detectron2 does on a GPU."""
    x0, y0, x1, y1 = box.tolist()
    x = (torch.arange(WIDTH) + 0.5 - x0) / (x1 - x0) * 2 - 1
    y = (torch.arange(HEIGHT) + 0.5 - y0) / (y1 - y0) * 2 - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)[None]
    inside = F.grid_sample(logits.sigmoid()[None, None], grid, align_corners=False)[0, 0]
    mask: NDArray[np.bool_] = (inside >= 0.5).numpy()
    return mask


@settings(max_examples=150, deadline=None)
@given(
    side=st.sampled_from([1, 7, 28]),
    x0=st.floats(-60, 30, width=32),
    y0=st.floats(-60, 30, width=32),
    box_width=st.floats(0.125, 120, width=32),
    box_height=st.floats(0.125, 120, width=32),
    bias=st.sampled_from([-1, 0, 3, 30]),
    seed=st.integers(0, 99),
)
def test_windows_encode_what_pasting_over_the_whole_image_encodes(
    *, side: int, x0: float, y0: float, box_width: float, box_height: float, bias: int, seed: int
) -> None:
    """Boxes of less than a pixel to many times the image, inside, across its edges and outside."""
    logits = torch.randn(side, side, generator=torch.Generator().manual_seed(seed)) * 3 + bias
    box = torch.tensor([x0, y0, x0 + box_width, y0 + box_height])
    window = mask_window(logits, box, HEIGHT, WIDTH)
    assert encode_window(window, HEIGHT, WIDTH) == encode_whole(paste_whole(logits, box))


@settings(max_examples=150, deadline=None)
@given(
    left=st.integers(0, 3),
    top=st.integers(0, 3),
    size=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    right=st.integers(0, 2),
    below=st.integers(0, 2),
    density=st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    seed=st.integers(0, 99),
)
def test_any_pattern_in_any_window_is_encoded_as_pycocotools_does(
    *,
    left: int,
    top: int,
    size: tuple[int, int],
    right: int,
    below: int,
    density: float,
    seed: int,
) -> None:
    """Small enough that runs meet all edges: 30 % of these windows are as high as the image."""
    columns = np.random.default_rng(seed).random(size) < density
    height, width = max(top + size[1] + below, 1), max(left + size[0] + right, 1)
    whole = np.zeros((height, width), dtype=bool)
    window = MaskWindow(left, top, columns)
    window.draw(whole)
    assert whole.sum() == columns.sum()
    assert encode_window(window, height, width) == encode_whole(whole)
    assert run_lengths(window, height, width).sum() == height * width


@pytest.mark.parametrize("height", [2, 3])
def test_a_run_goes_on_in_the_next_column_where_the_window_is_as_high_as_the_image(
    height: int,
) -> None:
    window = MaskWindow(1, 0, np.ones((2, 2), dtype=bool))
    wanted = {2: [2, 4], 3: [3, 2, 1, 2, 1]}[height]
    assert run_lengths(window, height, 3).tolist() == wanted
