"""Outlines of masks, against the formula that looks at every pixel of the picture."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pointrend_repro.predictions import overlays
from pointrend_repro.predictions.instances import Instances
from pointrend_repro.predictions.overlays import _label, draw_instances


def slow_outline(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    padded = Image.fromarray(np.pad(mask, width).astype(np.uint8) * 255)
    inner = np.array(padded.filter(ImageFilter.MinFilter(2 * width + 1))) > 0
    return mask & ~inner[width:-width, width:-width]


def masks_of(height: int, width: int) -> NDArray[np.bool_]:
    """Masks at the border, with holes, of single pixels, of nothing, and of everything."""
    rng = np.random.default_rng(0)
    masks = np.zeros((8, height, width), dtype=bool)
    masks[0, height // 3 :, width // 2 :] = True
    masks[1, : height // 2, : width // 2] = True
    masks[2, 5:-7, 9:-3] = True
    masks[2, 20:22, 30:31] = False
    masks[3] = rng.random((height, width)) < 0.97
    masks[4] = rng.random((height, width)) < 0.001
    masks[5, -1, -1] = True
    masks[7] = True
    return masks


@pytest.mark.parametrize(("height", "width"), [(60, 90), (820, 900), (1990, 1500)])
def test_masks_are_drawn_as_by_the_whole_picture(
    monkeypatch: pytest.MonkeyPatch, height: int, width: int
) -> None:
    masks = masks_of(height, width)
    image = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    boxes, labels = np.zeros((len(masks), 4), np.float32), np.zeros(len(masks), np.int64)
    found = Instances(boxes, np.linspace(1, 0.6, len(masks), dtype=np.float32), labels, masks)
    drawn = draw_instances(image, found, ["x"], score_threshold=0.5)
    monkeypatch.setattr(overlays, "_box", lambda _: (slice(None), slice(None)))
    monkeypatch.setattr(overlays, "_outline", slow_outline)
    expected = draw_instances(image, found, ["x"], score_threshold=0.5)
    assert (expected != image).any()
    np.testing.assert_array_equal(drawn, expected)


@pytest.mark.parametrize("width", [1, 2, 8])
def test_outlines_of_many_small_masks(width: int) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        mask = rng.random(rng.integers(1, 40, 2)) < rng.choice([0.02, 0.5, 0.95, 1])
        np.testing.assert_array_equal(overlays._outline(mask, width), slow_outline(mask, width))


def test_names_in_other_letters_can_be_told_apart() -> None:
    """Pillow's own font draws each letter beyond ASCII as the same box."""

    def drawn(name: str) -> bytes:
        picture = Image.new("RGB", (200, 100))
        mask = np.zeros((100, 200), np.bool_)
        mask[50:60, 50:60] = True
        _label(picture, mask, name, (255, 0, 0))
        return picture.tobytes()

    for one, other in [("dog", "cat"), ("собака", "машина"), ("café", "cafà")]:
        assert drawn(one) != drawn(other)
