"""What a mask is once it is drawn: on hand-made ones, at random, on COCO's, and in the check."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointrend_repro.base.errors import UserError
from pointrend_repro.config.datasets import Dataset
from pointrend_repro.data.check import describe_dataset
from pointrend_repro.data.coco import read_coco
from pointrend_repro.data.drawn import draw, drawn_fault, drawn_faults
from pointrend_repro.data.paths import UserData, data_paths
from pointrend_repro.data.segmentations import segmentation_mask

SIZE = (32, 48)  # height, width
SQUARE = [[20, 10, 40, 10, 40, 25, 20, 25]]


def moved(x: float, y: float) -> list[list[float]]:
    return [[v + (y if k % 2 else x) for k, v in enumerate(SQUARE[0])]]


@pytest.mark.parametrize(
    ("segmentation", "box", "fault"),
    [
        (SQUARE, (20, 10, 40, 25), None),
        (SQUARE, (19, 9, 41, 26), None),
        (SQUARE, (0, 0, 5, 5), "outside its box"),
        (SQUARE, (20, 10, 27, 25), "outside its box"),  # 8 of 20 columns, one more for rounding
        (SQUARE, (20, 10, 30, 25), None),
        (moved(30, 0), (50, 10, 70, 25), "outside its image"),
        (moved(0, -40), (20, -30, 40, -15), "outside its image"),
        (moved(20, 0), (40, 10, 60, 25), None),  # 8 columns are left of it
        ([[1e12, 0, 5, 5, 9, 9]], (5, 0, 1e12, 9), "outside its image"),
        ([[0.2, 0.1, 0.4, 0.1, 0.4, 0.4]], (0.2, 0.1, 0.4, 0.4), "less than a pixel"),
        ([[48, 3, 48, 20, 48, 9]], (48, 3, 48, 20), "less than a pixel"),  # along the border
        ({"size": [32, 48], "counts": [32 * 48]}, (0, 0, 5, 5), "less than a pixel"),
        ({"size": [32, 48], "counts": [0, 32 * 48]}, (0, 0, 48, 32), None),
        ({"size": [32, 48], "counts": [0, 32 * 48]}, (0, 0, 9, 9), "outside its box"),
    ],
)
def test_faults_of_what_is_drawn(
    segmentation: object, box: tuple[float, float, float, float], fault: str | None
) -> None:
    assert drawn_fault(draw(segmentation, SIZE), box) == fault  # type: ignore[arg-type]


@given(
    st.lists(
        st.lists(st.floats(-60, 100), min_size=6, max_size=12).filter(lambda p: len(p) % 2 == 0),
        min_size=1,
        max_size=3,
    ),
    st.tuples(st.floats(-9, 50), st.floats(-9, 40), st.floats(1, 60), st.floats(1, 60)),
)
def test_the_quick_way_says_what_the_pixels_say(
    polygons: list[list[float]], box: tuple[float, float, float, float]
) -> None:
    x0, y0 = box[:2]
    corners = (x0, y0, x0 + box[2], y0 + box[3])
    mask = segmentation_mask(polygons, *SIZE)
    drawn = draw(polygons, SIZE)
    fault = drawn_fault(drawn, corners)
    rows, columns = np.indices(SIZE)
    near = (columns >= np.floor(x0 - 1)) & (columns < np.ceil(corners[2] + 1))
    near &= (rows >= np.floor(y0 - 1)) & (rows < np.ceil(corners[3] + 1))
    if not mask.any():
        assert fault in {"less than a pixel", "outside its image"}
    elif 2 * (mask & near).sum() < mask.sum():
        assert fault == "outside its box"
    else:
        assert fault is None
    assert (drawn.area if drawn else 0) == mask.sum()


def test_coco_itself_is_not_refused(shared_data: Path) -> None:
    """Of 64 of its images; the whole of COCO was not at hand."""
    root = shared_data / "coco_tiny"
    for split in ("train2017", "val2017"):
        dataset = read_coco(root / split, root / f"annotations/instances_{split}.json")
        assert not list(drawn_faults(dataset))


# --- `data check --dataset NAME` -------------------------------------------------------------


def check(root: Path) -> object:
    recipe = {"schedules": {"1x": {"total_iters": 9}}}
    values = {"title": "x", "layout": "coco", "root": str(root), "num_classes": 3}
    dataset = Dataset.model_validate(values | {"recipe": recipe})
    return describe_dataset("mine", dataset, data_paths("mine", dataset, UserData()))


def beside_the_image(count: int) -> Callable[[dict], None]:
    def mutate(document: dict) -> None:
        for entry in document["annotations"][:count]:
            entry["segmentation"] = [[v + 500 for v in entry["segmentation"][0]]]

    return mutate


def test_a_data_set_whose_masks_are_empty_is_refused(coco_builder: Callable[..., Path]) -> None:
    root = coco_builder(mutate=beside_the_image(2))
    with pytest.raises(UserError) as told:
        check(root)
    assert str(root / "annotations/instances_train2017.json") in str(told.value)
    assert "2 of 12 objects have no mask that can be used" in str(told.value)
    assert "image 1 with the box [1.0, 1.0, " in str(told.value)
    assert "is outside its image; `pointrend-repro data check FOLDER` names" in str(told.value)


def test_a_few_are_told_and_pass(
    coco_builder: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    """As the official COCO must, in which a few masks are said to have no pixel."""
    root = coco_builder(train_images=34, mutate=beside_the_image(0))
    path = root / "annotations/instances_train2017.json"
    document = json.loads(path.read_text())
    beside_the_image(1)(document)
    path.write_text(json.dumps(document))
    with caplog.at_level(logging.WARNING):
        check(root)
    assert "1 of 102 objects have no mask that can be used" in caplog.text
