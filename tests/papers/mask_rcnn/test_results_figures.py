"""Figures 2, 4 and 7: what is drawn for each object that a model finds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.patches import Rectangle

from pointrend_repro.checkpoints.saved_models import SavedModel, build_model
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.data.structures import Detections
from pointrend_repro.figures.drawing import shared_style
from pointrend_repro.papers.mask_rcnn.figures import results
from pointrend_repro.settings.schedule import InputSettings
from small_experiment import read_train_split, small_settings

NAMES = ["triangle", "rectangle", "diamond"]
SIZE = (60, 40)
BOXES = torch.tensor([[5.0, 4.0, 30.0, 30.0], [20.0, 10.0, 55.0, 38.0], [0.0, 0.0, 9.0, 9.0]])


@pytest.fixture
def dataset(coco_builder: Callable[..., Path]) -> CocoDataset:
    return read_train_split(coco_builder(train_images=5, size=SIZE))


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> dict[str, SavedModel]:
    """A model, and what it finds in every image: two sure objects and one that is not."""
    found = Detections(
        BOXES,
        torch.tensor([0.987, 0.75, 0.2]),
        torch.tensor([1, 0, 2]),
        torch.full((3, 6, 6), 4.0),
    )
    monkeypatch.setattr(results, "detect", lambda *_: found)
    model = build_model(small_settings("4conv").model, num_classes=3)
    return {"model": SavedModel(model, InputSettings(), list(enumerate(NAMES)))}


def drawn(models: Any, dataset: CocoDataset, **options: int) -> Any:
    with shared_style():
        return results.draw(models, dataset, **options)


def test_each_sure_object_has_its_box_category_and_confidence(models, dataset: CocoDataset) -> None:
    picture = drawn(models, dataset, num_images=2, columns=2)
    for ax in picture.figure.axes:
        assert [text.get_text() for text in ax.texts] == ["triangle 0.75", "rectangle 0.99"]
        shown = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
        scale = max(ax.get_xlim()) / SIZE[0]
        for patch, box in zip(shown, BOXES[[1, 0]].tolist(), strict=True):
            x0, y0, x1, y1 = (value * scale for value in box)
            assert (patch.get_x(), patch.get_y()) == pytest.approx((x0, y0))
            assert (patch.get_width(), patch.get_height()) == pytest.approx((x1 - x0, y1 - y0))
    assert "score of at least 0.5" in picture.caption


def test_the_second_figure_shows_other_images_while_there_are_any(
    models, dataset: CocoDataset
) -> None:
    first = drawn(models, dataset, num_images=2, columns=2)
    second = drawn(models, dataset, num_images=2, columns=2, after=2)
    assert len(first.image_ids) == len(second.image_ids) == 2
    assert not set(first.image_ids) & set(second.image_ids)
    assert first.caption.endswith("those whose names come first.")
    assert second.caption.endswith("come first, but for the first 2, which another figure shows.")
    beyond = drawn(models, dataset, num_images=2, columns=2, after=9)
    assert set(beyond.image_ids) == {record.id for record in dataset.images}
    assert beyond.caption == first.caption
