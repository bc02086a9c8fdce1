"""Figure 2: the same images with what three models find in them."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.figures.drawing import shared_style
from pointrend_repro.papers.future3d.figures import figure2
from small_experiment import read_train_split

SIZE = (60, 40)
BOXES = np.array([[5, 4, 30, 30], [20, 10, 55, 38], [0, 0, 9, 9]], np.float32)
PARTS = ["htc", "solov2", "pointrend"]


@pytest.fixture
def dataset(coco_builder: Callable[..., Path]) -> CocoDataset:
    return read_train_split(coco_builder(train_images=4, size=SIZE))


def masks_of(boxes: Any) -> Any:
    masks = np.zeros((len(boxes), SIZE[1], SIZE[0]), dtype=bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes.astype(int).tolist(), strict=True):
        mask[y0:y1, x0:x1] = True
    return masks


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What each model, here its own name, is asked; HTC finds fewer, in another order."""
    asked: dict[str, Any] = {}

    def predict(part: Any, image: Any, given: dict[str, Any]) -> Any:
        asked[part] = given
        rows = [1, 0] if part == "htc" else [0, 1, 2]
        return figure2._Found(
            BOXES[rows], np.array([0.9, 0.7, 0.2], np.float32)[: len(rows)], masks_of(BOXES[rows])
        )

    monkeypatch.setattr(figure2, "_predict", predict)
    return asked


def drawn(dataset: CocoDataset, **options: int) -> Any:
    with shared_style():
        return figure2.draw({part: part for part in PARTS}, dataset, **options)  # type: ignore[misc]


def test_each_image_is_shown_by_each_model(dataset: CocoDataset, asked: dict[str, Any]) -> None:
    picture = drawn(dataset, num_images=2)
    axes = picture.figure.axes
    assert [ax.get_title() for ax in axes] == ["HTC", "SOLOv2", "PointRend", "", "", ""]
    assert len(picture.image_ids) == 2
    assert asked == {
        "htc": {},
        "solov2": {},
        "pointrend": {"output_resolution": 416, "points_per_step": 4900},
    }
    assert "score of at least 0.5" in picture.caption


def test_the_same_object_has_the_same_colour(
    dataset: CocoDataset, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[int, str]] = []
    monkeypatch.setattr(
        figure2, "show_mask", lambda ax, mask, color: shown.append((int(mask.sum()), color))
    )
    drawn(dataset, num_images=1)
    assert len(shown) == 6  # the two sure objects of each model
    assert len(set(shown)) == 2
    areas = dict(shown)
    assert len(areas) == 2


def test_without_a_sure_object_in_one_model_the_first_are_shown(
    dataset: CocoDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = figure2._Found(BOXES, np.array([0.4, 0.3, 0.2], np.float32), masks_of(BOXES))
    none = figure2._Found(BOXES[:0], np.zeros(0, np.float32), masks_of(BOXES[:0]))
    monkeypatch.setattr(figure2, "_predict", lambda part, *_: none if part == "solov2" else few)
    assert "5 highest-scoring" in drawn(dataset, num_images=1).caption


def test_models_predict_by_their_own_families(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the family: its own function, with its own kind of settings."""
    given: list[Any] = []

    def predict_image(saved: Any, image: Any, settings: Any) -> Any:
        given.append((saved, settings))
        return SimpleNamespace(boxes=BOXES, scores=np.ones(3, np.float32), masks=masks_of(BOXES))

    family = SimpleNamespace(
        inference=SimpleNamespace(model_validate=dict),
        predict_image="module:function",
        function=lambda path: predict_image,
    )
    monkeypatch.setattr(figure2, "family_of", lambda settings: family)
    saved: Any = SimpleNamespace(model=SimpleNamespace(settings=None))
    found = figure2._predict(saved, np.zeros((*SIZE[::-1], 3), np.uint8), {"a": 1})
    assert given == [(saved, {"a": 1})]
    assert found.boxes is BOXES
