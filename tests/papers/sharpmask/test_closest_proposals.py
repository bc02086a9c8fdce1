"""Figures 2, 4, 8 and 9: which images they show, and what the captions say of the choice."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.figures.drawing import shared_style
from pointrend_repro.papers.sharpmask.figures import best_proposals, pairs
from pointrend_repro.papers.sharpmask.figures.closest import Closest
from small_experiment import read_train_split

MODELS: Any = {"sharpmask": None, "deepmask": None}


@pytest.fixture
def dataset(coco_builder: Callable[..., Path]) -> CocoDataset:
    return read_train_split(coco_builder(train_images=5, size=(60, 40)))


@pytest.mark.parametrize("drawing", [best_proposals, pairs])
def test_captions_say_which_images_another_figure_shows(
    drawing: ModuleType, dataset: CocoDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [Closest(np.ones((40, 60), dtype=bool), 0.75)]
    monkeypatch.setattr(drawing, "closest", lambda *_: found)
    with shared_style():
        first, second, beyond = (
            drawing.draw(MODELS, dataset, images=2, after=after) for after in (0, 2, 9)
        )
    assert len(second.image_ids) == 2
    assert not set(first.image_ids) & set(second.image_ids)
    assert second.caption == first.caption.removesuffix(".") + (
        ", but for the first 2, which another figure shows."
    )
    assert len(beyond.image_ids) == 2  # of a small data set
    assert beyond.caption == first.caption
