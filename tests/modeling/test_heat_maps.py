"""Keypoints of heat maps are those of enlarging every map to its box."""

import hypothesis
import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.detection.roi_heads import heatmaps_to_keypoints

from pointrend_repro.modeling import heat_maps
from pointrend_repro.modeling.heat_maps import keypoints_of_maps, largest_pixels
from pointrend_repro.modeling.precision import computing_in

KINDS = ["noise", "smooth", "peaks"]


def make_maps(kind: str, count: int, keypoints: int = 3, side: int = 56) -> Tensor:
    noise = torch.randn(count, keypoints, side, side)
    if kind == "noise":
        return noise
    coarse = torch.randn(count, keypoints, side // 2, side // 2)
    smooth = F.interpolate(coarse, (side, side), mode="bilinear")
    if kind == "smooth":
        return smooth
    at = torch.arange(side) - side * torch.rand(2, count, keypoints, 1)
    distance = at[0].square().unsqueeze(3) + at[1].square().unsqueeze(2)
    return (-distance / 8).clamp(min=-12) + 0.3 * smooth


def make_boxes(count: int, smallest: float, largest: float) -> Tensor:
    corner = 300 * torch.rand(count, 2)
    return torch.cat([corner, corner + smallest + (largest - smallest) * torch.rand(count, 2)], 1)


def slow_keypoints(maps: Tensor, boxes: Tensor) -> Tensor:
    """One box after another, as the definition says."""
    found = torch.zeros(*maps.shape[:2], 3, dtype=maps.dtype)
    for r, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
        width, height = max(x1 - x0, 1.0), max(y1 - y0, 1.0)
        columns, rows = int(torch.tensor(width).ceil()), int(torch.tensor(height).ceil())
        resized = F.interpolate(maps[[r]], (rows, columns), mode="bicubic", align_corners=False)
        for k, values in enumerate(resized[0]):
            row, column = divmod(int(values.argmax()), columns)
            found[r, k, 0] = (column + 0.5) * width / columns + x0
            found[r, k, 1] = (row + 0.5) * height / rows + y0
            found[r, k, 2] = 1 / (maps[r, k] - values.max()).exp().sum()
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("smallest", "largest"), [(0.1, 9), (20, 90), (100, 500)])
def test_keypoints_are_those_of_enlarged_maps(kind, smallest, largest):
    torch.manual_seed(0)
    maps, boxes = make_maps(kind, 6), make_boxes(6, smallest, largest)
    found, slow = keypoints_of_maps(maps, boxes), slow_keypoints(maps, boxes)
    torch.testing.assert_close(found[..., :2], slow[..., :2], rtol=0, atol=1e-3)
    torch.testing.assert_close(found[..., 2], slow[..., 2], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_places_are_torchvisions(kind):
    torch.manual_seed(1)
    maps, boxes = make_maps(kind, 8), make_boxes(8, 10, 200)
    places, logits = heatmaps_to_keypoints(maps, boxes)
    found = keypoints_of_maps(maps, boxes)
    torch.testing.assert_close(found[..., :2], places[..., :2], rtol=0, atol=1e-3)
    normal = maps.flatten(2).logsumexp(dim=2)
    torch.testing.assert_close(found[..., 2], (logits - normal).exp(), rtol=1e-4, atol=1e-7)


def test_many_small_blocks_give_the_same(monkeypatch):
    torch.manual_seed(2)
    maps, boxes = make_maps("smooth", 5), make_boxes(5, 20, 300)
    at_once = keypoints_of_maps(maps, boxes)
    monkeypatch.setattr(heat_maps, "_BLOCKS_AT_ONCE", 7)
    monkeypatch.setattr(heat_maps, "_MAPS_AT_ONCE", 2)
    assert torch.equal(keypoints_of_maps(maps, boxes), at_once)


def test_a_model_in_bf16_decodes_its_maps_in_float32():
    torch.manual_seed(4)
    maps, boxes = make_maps("peaks", 6), make_boxes(6, 100, 300)
    wanted = keypoints_of_maps(maps, boxes)
    with computing_in("bf16", maps.device):
        assert torch.equal(keypoints_of_maps(maps, boxes), wanted)


@hypothesis.settings(deadline=None, max_examples=60, derandomize=True)
@hypothesis.given(
    seed=st.integers(0, 10**6),
    side=st.integers(1, 9),
    width=st.integers(1, 40),
    height=st.integers(1, 40),
)
def test_any_size_of_map_and_box(seed, side, width, height):
    maps = torch.randn(2, side, side, generator=torch.Generator().manual_seed(seed)).double()
    resized = F.interpolate(maps[None], (height, width), mode="bicubic", align_corners=False)[0]
    sizes = torch.tensor([[width, height]]).expand(2, 2)
    value, row, column = largest_pixels(maps.float(), sizes)
    at = resized[torch.arange(2), row, column]
    best = resized.flatten(1).max(dim=1).values
    torch.testing.assert_close(at, best, rtol=0, atol=1e-5)
    torch.testing.assert_close(value.double(), best, rtol=0, atol=1e-5)


@hypothesis.settings(deadline=None, max_examples=60, derandomize=True)
@hypothesis.given(seed=st.integers(0, 10**6), spread=st.sampled_from([0.1, 1.0, 30.0]))
def test_no_value_of_a_cell_exceeds_its_bound(seed, spread):
    generator = torch.Generator().manual_seed(seed)
    map_ = (spread * torch.randn(1, 1, 5, 5, generator=generator)).exp().log1p().double()
    times = 9
    resized = F.interpolate(map_, scale_factor=times, mode="bicubic", align_corners=False)[0, 0]
    padded = F.pad(map_, (2, 2, 2, 2), mode="replicate")[0]
    bound = heat_maps._bounds(padded)[0]
    # Pixel i lies in cell floor((i + 0.5) / times - 0.5) + 1.
    cell = ((torch.arange(5 * times) + 0.5) / times + 0.5).floor().long()
    assert (resized <= bound[cell[:, None], cell] + 1e-9 * map_.abs().max()).all()


def test_the_first_of_equal_pixels_counts():
    maps = torch.zeros(1, 1, 8, 8)
    maps[0, 0, 2, 5] = maps[0, 0, 6, 1] = 1.0
    # At the map's own size the pixels are its points, whose weights are exactly 0 and 1.
    (point,) = keypoints_of_maps(maps, torch.tensor([[0.0, 0.0, 8.0, 8.0]]))[0].tolist()
    assert point[:2] == [5.5, 2.5]


def test_a_flat_map_gives_a_pixel_of_the_box():
    boxes = torch.tensor([[10.0, 20.0, 310.0, 60.0]])
    (points,) = keypoints_of_maps(torch.full((1, 2, 56, 56), 3.0), boxes)
    assert ((points[:, :2] > boxes[:, :2]) & (points[:, :2] < boxes[:, 2:])).all()
    torch.testing.assert_close(points[:, 2], torch.full((2,), 1 / 56**2))


def test_a_map_of_nan_gives_a_pixel_of_the_box():
    boxes = torch.tensor([[0.0, 0.0, 20.0, 10.0]] * 2)
    maps = torch.stack([torch.full((1, 8, 8), torch.nan), make_maps("noise", 1, 1, 8)[0]])
    points = keypoints_of_maps(maps, boxes)
    assert ((points[..., 0] >= 0) & (points[..., 0] <= 20)).all()
    assert points[0, 0, 2].isnan()
    assert torch.equal(points[1], keypoints_of_maps(maps[1:], boxes[1:])[0])


def test_no_boxes():
    assert keypoints_of_maps(torch.zeros(0, 17, 56, 56), torch.zeros(0, 4)).shape == (0, 17, 3)


def test_the_largest_box_does_not_decide_the_memory_of_all():
    """What is computed of small boxes does not grow when a box of a whole image joins them."""
    torch.manual_seed(3)
    maps, boxes = make_maps("peaks", 20), make_boxes(20, 30, 60)
    values = heat_maps._Resizing._values
    computed = [0]

    def counting(self, q, cell_y, cell_x, row, column):
        computed[-1] += row.numel() * column.shape[1]
        return values(self, q, cell_y, cell_x, row, column)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heat_maps._Resizing, "_values", counting)
        small = keypoints_of_maps(maps, boxes)
        computed.append(0)
        boxes[7] = torch.tensor([0.0, 0.0, 1333.0, 800.0])
        mixed = keypoints_of_maps(maps, boxes)
    others = torch.arange(20) != 7
    assert torch.equal(mixed[others], small[others])
    pixels_of_the_large_one = 3 * 1333 * 800
    assert computed[1] - computed[0] < 0.05 * pixels_of_the_large_one
