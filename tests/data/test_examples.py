"""Training examples: sizes by detectron2's rule, and boxes that stay on their masks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask
from pydantic import ValidationError

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.coco import Annotation, ImageRecord
from pointrend_repro.data.examples import (
    _masks,
    inference_image,
    resize_image,
    resized_size,
    training_example,
)
from pointrend_repro.data.segmentations import segmentation_mask, segmentation_window
from pointrend_repro.data.structures import Target
from pointrend_repro.settings.schedule import InputSettings


def detectron2_size(height: int, width: int, short_edge: int, max_size: int) -> tuple[int, int]:
    """ResizeShortestEdge at commit 02b5c4e2: scale the short side, then shrink if too long."""
    scale = float(short_edge) / min(height, width)
    if height < width:
        size = [float(short_edge), scale * width]
    else:
        size = [scale * height, float(short_edge)]
    if max(size) > max_size:
        shrink = max_size / max(size)
        size = [side * shrink for side in size]
    return int(size[0] + 0.5), int(size[1] + 0.5)


@settings(max_examples=300, deadline=None)
@given(
    height=st.integers(1, 3000),
    width=st.integers(1, 3000),
    short=st.sampled_from([256, 640, 672, 800, 1024]),
    longest=st.sampled_from([448, 1333, 2048]),
)
def test_sizes_are_detectron2_s_but_never_zero(
    height: int, width: int, short: int, longest: int
) -> None:
    got = resized_size(height, width, short_edge_px=short, max_px=longest)
    assert got == tuple(max(side, 1) for side in detectron2_size(height, width, short, longest))
    assert min(got) >= 1
    assert max(got) <= max(longest, 1)


@pytest.mark.parametrize(("height", "width"), [(22, 44), (88, 44), (91, 182), (302, 151)])
def test_halves_are_rounded_as_detectron2_rounds_them(height: int, width: int) -> None:
    """2:1 images at 800 and 1333 have a short side of 666.5, give or take the last bit."""
    got = resized_size(height, width, short_edge_px=800, max_px=1333)
    assert got == detectron2_size(height, width, 800, 1333)


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((480, 640), (800, 1067)),
        ((640, 480), (1067, 800)),
        ((300, 3000), (133, 1333)),
        ((1, 1), (800, 800)),
        ((1, 5000), (1, 1333)),
        ((5000, 1), (1333, 1)),
    ],
)
def test_known_sizes(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    assert resized_size(*size, short_edge_px=800, max_px=1333) == wanted


def test_inference_images_have_the_test_size() -> None:
    image = np.zeros((30, 60, 3), dtype=np.uint8)
    sizes = InputSettings(test_short_edge_px=40, max_long_edge_px=70)
    tensor = inference_image(image, sizes)
    assert tensor.shape == (3, 35, 70)
    assert tensor.dtype == torch.uint8


def test_resizing_keeps_colours_in_place() -> None:
    image = np.zeros((10, 20, 3), dtype=np.uint8)
    image[:, :10, 0], image[:, 10:, 2] = 200, 100
    tensor = resize_image(Image.fromarray(image), 20, 40)
    assert tensor[:, 5, 5].tolist() == [200, 0, 0]
    assert tensor[:, 5, 35].tolist() == [0, 0, 100]
    assert tensor.is_contiguous()


def rectangle(label: int, x0: float, y0: float, x1: float, y1: float) -> Annotation:
    return Annotation(label, (x0, y0, x1, y1), [[x0, y0, x1, y0, x1, y1, x0, y1]], False)


def record(
    tmp_path: Path, annotations: list[Annotation], *, width: int = 60, height: int = 40
) -> ImageRecord:
    """An image that is dark outside of its objects' boxes, and bright in them."""
    pixels = np.full((height, width, 3), 20, dtype=np.uint8)
    for a in annotations:
        x0, y0, x1, y1 = (round(v) for v in a.box)
        pixels[max(y0, 0) : y1, max(x0, 0) : x1] = 220
    path = tmp_path / "image.png"
    Image.fromarray(pixels).save(path)
    return ImageRecord(7, path, width, height, tuple(annotations))


def input_settings(short: int = 80, longest: int = 1000, flip: float = 0.0) -> InputSettings:
    return InputSettings(
        train_short_edges_px=(short,), max_long_edge_px=longest, flip_probability=flip
    )


def example(image: ImageRecord, sizes: InputSettings, seed: int = 0) -> tuple[torch.Tensor, Target]:
    return training_example(image, sizes, np.random.default_rng(seed))


def mask_box(mask: torch.Tensor) -> torch.Tensor:
    rows, columns = (torch.nonzero(mask.any(axis)).squeeze(1) for axis in (1, 0))
    return torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).float()


@pytest.mark.parametrize("flip", [0.0, 1.0])
@pytest.mark.parametrize("short", [23, 40, 80, 97])
def test_image_boxes_and_masks_stay_together(tmp_path: Path, short: int, flip: float) -> None:
    annotations = [rectangle(0, 5, 6, 20, 30), rectangle(2, 33, 10, 58, 22)]
    image, target = example(record(tmp_path, annotations), input_settings(short, flip=flip))
    height, width = image.shape[1:]
    assert (height, width) == (short, round(short * 1.5 + 1e-9))
    assert target.masks.shape == (2, height, width)
    assert target.masks.dtype == torch.bool
    assert target.labels.tolist() == [0, 2]
    bright = image[0] > 120
    assert (bright != target.masks.any(0)).float().mean() < 0.06  # a line of pixels at most
    for mask, box in zip(target.masks, target.boxes, strict=True):
        assert (mask_box(mask) - box).abs().max() <= 1
    scale = width / 60
    left = target.boxes[0, 0].item()
    assert left == pytest.approx(40 * scale if flip else 5 * scale, abs=1e-3)


def test_flipping_mirrors_everything(tmp_path: Path) -> None:
    image = record(tmp_path, [rectangle(1, 3.5, 6, 20.25, 30)])
    straight, flipped = (example(image, input_settings(flip=p)) for p in (0.0, 1.0))
    assert torch.equal(flipped[0], straight[0].flip(2))
    assert torch.equal(flipped[1].masks, straight[1].masks.flip(2))
    x0, y0, x1, y1 = straight[1].boxes[0].tolist()
    assert flipped[1].boxes[0].tolist() == pytest.approx([120 - x1, y0, 120 - x0, y1])


def test_polygons_are_scaled_and_then_drawn(tmp_path: Path) -> None:
    polygon = [10.3, 5.1, 50.7, 12.9, 30.2, 38.4]
    annotation = Annotation(0, (10.3, 5.1, 50.7, 38.4), [polygon], False)
    _, target = example(record(tmp_path, [annotation]), input_settings(160))
    drawn = coco_mask.decode(coco_mask.frPyObjects([[4 * v for v in polygon]], 160, 240))[..., 0]
    assert np.array_equal(target.masks[0].numpy(), drawn.astype(bool))


@pytest.mark.parametrize("compressed", [True, False])
def test_rle_segmentations(tmp_path: Path, compressed: bool) -> None:
    mask = np.zeros((40, 60), dtype=np.uint8)
    mask[6:30, 5:20] = 1
    rle = coco_mask.encode(np.asfortranarray(mask))
    if not compressed:
        flat = mask.flatten(order="F")
        edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [0]])))
        runs = np.diff(np.concatenate([[0], edges, [flat.size]]))
        rle = {"size": [40, 60], "counts": runs.tolist()}
    annotation = Annotation(1, (5, 6, 20, 30), rle, False)
    _, target = example(record(tmp_path, [annotation]), input_settings(80))
    wanted = np.zeros((80, 120), dtype=bool)
    wanted[12:60, 10:40] = True
    assert np.array_equal(target.masks[0].numpy(), wanted)
    assert target.boxes.tolist() == [[10, 12, 40, 60]]


def test_crowds_and_objects_that_vanish_are_dropped(tmp_path: Path) -> None:
    crowd = Annotation(0, (1, 1, 30, 30), [[1, 1, 30, 1, 30, 30, 1, 30]], True)
    speck = rectangle(1, 40.1, 20.1, 40.3, 20.3)
    outside = rectangle(1, 70, 10, 90, 20)
    kept = rectangle(2, 5, 6, 20, 30)
    _, target = example(record(tmp_path, [crowd, speck, outside, kept]), input_settings(20))
    assert target.labels.tolist() == [2]
    assert target.masks.shape == (1, 20, 30)


def test_boxes_are_clipped_to_the_image(tmp_path: Path) -> None:
    _, target = example(record(tmp_path, [rectangle(0, -5, 10, 20, 45)]), input_settings(80))
    assert target.boxes.tolist() == [[0, 20, 40, 80]]


def test_an_image_may_have_no_objects(tmp_path: Path) -> None:
    image, target = example(record(tmp_path, []), input_settings(80))
    assert image.shape == (3, 80, 120)
    assert target.boxes.shape == (0, 4)
    assert target.labels.dtype == torch.int64
    assert target.masks.shape == (0, 80, 120)
    assert target.masks.dtype == torch.bool


def test_grey_pictures_have_three_equal_channels(tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    Image.fromarray(np.arange(2400, dtype=np.uint32).reshape(40, 60).astype(np.uint8)).save(path)
    image, _ = example(ImageRecord(1, path, 60, 40, ()), input_settings(40))
    assert image.shape == (3, 40, 60)
    assert torch.equal(image[0], image[1])
    assert torch.equal(image[0], image[2])


def test_short_edges_and_flips_are_drawn_from_the_settings(tmp_path: Path) -> None:
    image = record(tmp_path, [rectangle(0, 0, 0, 10, 40)])
    sizes = InputSettings(
        train_short_edges_px=(20, 40), max_long_edge_px=1000, flip_probability=0.5
    )
    rng = np.random.default_rng(0)
    drawn = [training_example(image, sizes, rng) for _ in range(60)]
    seen = {(tensor.shape[1], target.boxes[0, 0].item() > 0) for tensor, target in drawn}
    assert seen == {(20, False), (20, True), (40, False), (40, True)}


def test_short_edges_of_a_range_are_all_drawn_and_limited_by_the_longer(tmp_path: Path) -> None:
    image = record(tmp_path, [rectangle(0, 0, 0, 10, 40)])
    sizes = InputSettings(
        train_short_edge_range_px=(37, 40), max_long_edge_px=1000, train_max_long_edge_px=57
    )
    rng = np.random.default_rng(0)
    seen = {tuple(training_example(image, sizes, rng)[0].shape[1:]) for _ in range(60)}
    assert seen == {(37, 56), (38, 57)}  # 39 and 40 would make more than 57 columns
    at_test = sizes.model_copy(update={"test_short_edge_px": 50})
    shown = inference_image(np.zeros((40, 60, 3), dtype=np.uint8), at_test)
    assert shown.shape == (3, 50, 75)


def test_a_range_of_short_edges_goes_from_small_to_large() -> None:
    with pytest.raises(ValidationError, match=r"train_short_edge_range_px \(9, 8\)"):
        InputSettings(train_short_edge_range_px=(9, 8))


def test_an_image_of_another_size_is_refused_by_name(tmp_path: Path) -> None:
    image = record(tmp_path, [])
    wrong = ImageRecord(7, image.path, 40, 60, ())
    with pytest.raises(UserError, match=r"image\.png: is 60x40 pixels.* says 40x60"):
        example(wrong, input_settings())


@settings(max_examples=30, deadline=None)
@given(
    points=st.lists(st.tuples(st.floats(-5, 35), st.floats(-5, 25)), min_size=3, max_size=8),
    flip=st.booleans(),
)
def test_windows_make_the_masks_that_pycocotools_draws(
    points: list[tuple[float, float]], flip: bool
) -> None:
    """Outlines that leave the image, or of which nothing is in it, included."""
    outline = [list(np.ravel(points))]
    window = segmentation_window(outline, 20, 30)
    wanted = segmentation_mask(outline, 20, 30)
    assert window.pixels.size == 0 or window.pixels.any(axis=1)[[0, -1]].all()
    (mask,) = _masks([window], 20, 30, flip=flip)
    np.testing.assert_array_equal(mask, wanted[:, ::-1] if flip else wanted)
