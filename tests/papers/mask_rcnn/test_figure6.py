"""Figure 6: the images with the most people, and in them what the model finds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import Annotation, CocoDataset, ImageRecord, read_coco
from pointrend_repro.data.keypoints import COCO_KEYPOINTS
from pointrend_repro.data.structures import Detections
from pointrend_repro.figures.drawing import shared_style
from pointrend_repro.papers.mask_rcnn.figures import figure6
from pointrend_repro.predictions.skeletons import MIN_SCORE
from pointrend_repro.settings.schedule import InputSettings

PERSON = [(1, "person")]
INPUT = InputSettings(test_short_edge_px=48, max_long_edge_px=64)


def record(number: int, heights: list[float], *, labelled: bool = True) -> ImageRecord:
    """An image 100 pixels high, with a person of each height."""
    points = (1.0, 1.0, 2.0) * 17 if labelled else None
    people = tuple(
        Annotation(0, (0.0, 0.0, 10.0, height), [[0, 0, 10, 0, 10, 9]], False, points)
        for height in heights
    )
    return ImageRecord(number, Path(f"{number}.jpg"), 100 + number, 100, people)


def test_images_with_the_most_large_people_are_chosen():
    images = (
        record(1, [50]),
        record(2, [30, 40, 10]),
        record(3, [10, 10, 10, 10]),  # small
        record(4, [90, 90, 90, 90], labelled=False),
        record(5, [25, 25, 25]),
        record(6, []),
    )
    chosen = figure6.choose_images(CocoDataset((), images), 3)
    assert sorted(each.id for each in chosen) == [1, 2, 5]
    shapes = [each.height / each.width for each in chosen]
    assert shapes == sorted(shapes)
    assert len(figure6.choose_images(CocoDataset((), images), 9)) == 4  # small ones come last


def test_data_without_labelled_keypoints_are_refused():
    images = (record(1, [50], labelled=False),)
    with pytest.raises(UserError, match="no validation image has an object with labelled"):
        figure6.choose_images(CocoDataset((), images), 3)


class Finder:
    """Finds two people in any image; of their keypoints, it is surer of the five of the head."""

    def __init__(self, scores: tuple[float, float]) -> None:
        self.backbone = torch.nn.Module()
        self.backbone.pixel_mean = torch.zeros(3, 1, 1)
        self.scores = scores

    def detect(self, images, settings, proposals=None) -> list[Detections]:
        keypoints = torch.rand(2, 17, 3, generator=torch.Generator().manual_seed(0)) * 40
        keypoints[..., 2] = self.scores[1]
        keypoints[:, :5, 2] = self.scores[0]
        boxes = torch.tensor([[2.0, 2, 30, 40], [20, 5, 50, 45]])
        masks = torch.full((2, 8, 8), 5.0)
        return [
            Detections(boxes, torch.tensor([0.9, 0.6]), torch.zeros(2).long(), masks, keypoints)
        ]


@pytest.fixture
def dataset(coco_builder) -> CocoDataset:
    """Two images of one labelled person each."""
    root = coco_builder(val_images=2)
    path = root / "annotations/instances_val2017.json"
    found = read_coco(root / "val2017", path)
    points = (5.0, 5.0, 2.0) * 17
    images = tuple(
        replace(i, annotations=tuple(replace(a, keypoints=points) for a in i.annotations))
        for i in found.images
    )
    return replace(found, images=images)


@pytest.mark.parametrize(
    ("scores", "limbs", "said"),
    [
        ((0.8, MIN_SCORE / 2), 5, f"a score of at least {MIN_SCORE} are drawn"),
        ((0.01, 0.01), 19, f"none has a score of {MIN_SCORE}"),
    ],
)
def test_skeletons_are_drawn_by_one_rule(dataset, scores, limbs, said):
    finder = Finder(scores)
    saved = SavedModel(finder, INPUT, PERSON, keypoints=COCO_KEYPOINTS)
    with shared_style():
        picture = figure6.draw({"people": saved}, dataset)
    assert said in picture.caption
    assert len(picture.image_ids) == 2
    shown = [ax for ax in picture.figure.axes if ax.images]
    assert len(shown) == 2
    for ax in shown:
        skeletons = [c for c in ax.collections if isinstance(c, LineCollection)]
        assert [len(lines.get_segments()) for lines in skeletons] == [limbs, limbs]
        height, width = ax.images[0].get_array().shape[:2]
        ends = np.concatenate([s for lines in skeletons for s in lines.get_segments()])
        assert (ends >= 0).all()
        assert (ends <= max(width, height)).all()
