"""Pictures and batches on their way to detectron2's models, without detectron2."""

import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.images import read_image
from pointrend_repro.engines.detectron2.batches import (
    NoBatchError,
    ReturningErrors,
    UsableBatches,
)
from pointrend_repro.engines.detectron2.pictures import read_pixels

SIZE = {"width": 30, "height": 20}


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)


@pytest.mark.parametrize("orientation", [1, 3])
@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_pixels_are_those_of_our_engine(
    pixels: np.ndarray, ending: str, orientation: int, tmp_path: Path
) -> None:
    """detectron2's own reader turns a TIFF twice."""
    path = tmp_path / f"a.{ending}"
    exif = Image.Exif()
    exif[274] = orientation
    how: dict[str, Any] = {"tiffinfo": {274: orientation}} if ending == "tiff" else {"exif": exif}
    Image.fromarray(pixels).save(path, **how)
    rgb = read_pixels(path, **SIZE, order="RGB")
    assert np.array_equal(rgb, read_image(path))
    assert np.array_equal(rgb, pixels if orientation == 1 else pixels[::-1, ::-1])
    assert np.array_equal(read_pixels(path, **SIZE, order="BGR"), rgb[:, :, ::-1])


def test_what_our_reader_refuses_is_refused(pixels: np.ndarray, tmp_path: Path) -> None:
    """detectron2's own reads 16-bit grey as white, and reads any size in a prediction."""
    deep, small, cut = (tmp_path / name for name in ("deep.png", "small.png", "cut.jpg"))
    Image.fromarray(np.linspace(500, 60000, 600).reshape(20, 30).astype(np.uint16)).save(deep)
    Image.fromarray(pixels[:10]).save(small)
    Image.fromarray(pixels).save(cut)
    cut.write_bytes(cut.read_bytes()[:-200])
    for path, told in (
        (deep, "more than 8 bits per channel"),
        (small, "is 30x10 pixels, but its annotation says 30x20"),
        (cut, "not a whole image"),
    ):
        with pytest.raises(UserError, match=rf"{path.name}: .*{told}") as error:
            read_pixels(path, **SIZE, order="BGR")
        assert "\n" not in str(error.value)


def _mapped(record: dict[str, Any]) -> dict[str, Any]:
    if record["width"] == 0:
        raise UserError("a.jpg: not a whole image")
    return record


def test_an_error_leaves_the_loader_as_it_is() -> None:
    """A worker process hands it over, and batches are made by width and height."""
    mapper = pickle.loads(pickle.dumps(ReturningErrors(_mapped)))
    good, bad = SIZE, {"width": 0, "height": 4}
    examples = [pickle.loads(pickle.dumps(mapper(record))) for record in (good, bad)]
    assert examples[0] == good
    assert bad.items() <= examples[1].items()
    batches = iter(UsableBatches([examples[:1], examples]))
    assert next(batches) == [good]
    with pytest.raises(NoBatchError) as raised:
        next(batches)
    assert str(raised.value.error) == "a.jpg: not a whole image"


def test_batches_without_any_object_are_passed_over() -> None:
    """detectron2's PointRend fails on one."""
    empty, some = {"instances": []}, {"instances": [1]}
    semantic: dict[str, Any] = {"sem_seg": 0}
    batches = [[empty, some], [empty, empty], [some, empty], [semantic]]
    assert list(UsableBatches(batches)) == [batches[0], batches[2], batches[3]]


def test_a_training_does_not_wait_for_objects_for_ever() -> None:
    with pytest.raises(NoBatchError) as raised:
        list(UsableBatches(itertools.repeat([{"instances": []}])))
    assert "1001 batches one after another have no object" in str(raised.value.error)
