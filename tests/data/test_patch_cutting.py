"""Pixels and masks of patches against an obvious way to cut them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

from pointrend_repro.data.patch_cutting import GREY, cut_mask, cut_pixels
from pointrend_repro.data.patch_places import Place

HEIGHT, WIDTH = 48, 64
TRIANGLE = [10.0, 5.0, 50.0, 12.0, 22.0, 40.0]


@pytest.fixture(scope="module")
def image() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_a_patch_at_the_images_own_scale_is_a_crop(image: Image.Image) -> None:
    cut = cut_pixels(image, Place(30, 20, 1.0), side=16)
    np.testing.assert_array_equal(cut, np.asarray(image)[12:28, 22:38].transpose(2, 0, 1))


@settings(max_examples=40, deadline=None)
@given(
    x=st.floats(-40, 100), y=st.floats(-40, 90), scale=st.floats(0.1, 6), side=st.integers(4, 40)
)
def test_what_is_outside_of_the_image_is_grey(
    image: Image.Image, x: float, y: float, scale: float, side: int
) -> None:
    cut = cut_pixels(image, Place(x, y, scale), side)
    far = 700  # the whole neighbourhood at once
    canvas = Image.new("RGB", (WIDTH + 2 * far, HEIGHT + 2 * far), (GREY,) * 3)
    canvas.paste(image, (far, far))
    left, top = x - scale * side / 2 + far, y - scale * side / 2 + far
    box = (left, top, left + scale * side, top + scale * side)
    expected = np.asarray(canvas.resize((side, side), Image.Resampling.BILINEAR, box=box))
    # The same filter from another origin: Pillow has the box as 32-bit floats, and rounds to whole
    # grey values after each of two passes.
    difference = cut.astype(int) - expected.transpose(2, 0, 1)
    assert np.abs(difference).max() <= 2


def test_a_patch_beside_the_image_is_grey(image: Image.Image) -> None:
    assert np.all(cut_pixels(image, Place(-200, 10, 1.0), side=16) == GREY)


def test_a_mask_at_the_images_own_scale_is_pycocotools_own() -> None:
    rle = coco_mask.merge(coco_mask.frPyObjects([TRIANGLE], HEIGHT, WIDTH))
    whole = coco_mask.decode(rle).astype(bool)
    cut = cut_mask([TRIANGLE], (HEIGHT, WIDTH), Place(32, 24, 1.0), side=48)
    np.testing.assert_array_equal(cut, whole[:, 8:56])


@pytest.mark.parametrize("scale", [0.5, 0.77, 2.0])
def test_polygons_and_run_lengths_give_the_same_mask(scale: float) -> None:
    place = Place(25.0, 20.0, scale)
    rle = coco_mask.merge(coco_mask.frPyObjects([TRIANGLE], HEIGHT, WIDTH))
    outlined = cut_mask([TRIANGLE], (HEIGHT, WIDTH), place, side=40)
    decoded = cut_mask(
        {"size": rle["size"], "counts": rle["counts"].decode()}, (HEIGHT, WIDTH), place, side=40
    )
    union = (outlined | decoded).sum()
    assert (outlined & decoded).sum() / union > 0.9


def test_an_object_that_leaves_the_patch_is_cut_there() -> None:
    # Its left half, seen in a patch whose border goes through the middle.
    square = [0.0, 0.0, 40.0, 0.0, 40.0, 40.0, 0.0, 40.0]
    cut = cut_mask([square], (48, 64), Place(0.0, 20.0, 1.0), side=40)
    assert not cut[:, :20].any()
    assert cut[:, 20:].all()
