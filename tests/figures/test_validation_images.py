"""The gallery of validation images: quality is what its caption says, and the worst are first."""

# ruff: noqa: F401, F811 (fixtures of test_figures are imported, and are then arguments)

from collections.abc import Mapping

import numpy as np
import pytest
from test_figures import dataset, models

import pointrend_repro.figures.judged_images as judging
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.data.segmentations import segmentation_mask
from pointrend_repro.figures.drawing import shared_style
from pointrend_repro.figures.judged_images import Objects, chosen_images, judge_objects
from pointrend_repro.papers.pointrend.figures import validation
from pointrend_repro.predictions.instances import Instances

NO_CROWDS = np.zeros((0, 4, 8), dtype=bool)


def objects(*columns: tuple[int, int, int]) -> Objects:
    """Objects that fill columns from one to before another, with a class each."""
    masks = np.zeros((len(columns), 4, 8), dtype=bool)
    for mask, (first, last, _) in zip(masks, columns, strict=True):
        mask[:, first:last] = True
    return Objects(masks, np.array([label for _, _, label in columns], dtype=np.int64))


def test_quality_is_the_sum_of_iou_by_found_and_half_of_the_rest() -> None:
    truth = objects((0, 4, 0), (4, 6, 1), (6, 8, 1))
    # Found with an IoU of 3/4; found whole; of the wrong class.
    predicted = objects((0, 3, 0), (4, 6, 1), (6, 8, 0))
    quality = judge_objects(truth, predicted, NO_CROWDS)
    assert (quality.found, quality.missed, quality.extra) == (2, 1, 1)
    assert quality.value == pytest.approx((3 / 4 + 1) / (2 + 1 / 2 + 1 / 2))


def test_an_object_is_found_once() -> None:
    quality = judge_objects(objects((0, 4, 0)), objects((0, 4, 0), (0, 4, 0)), NO_CROWDS)
    assert (quality.found, quality.missed, quality.extra) == (1, 0, 1)


def test_half_is_not_found_and_nothing_is_right_where_nothing_is() -> None:
    assert judge_objects(objects((0, 4, 0)), objects((0, 2, 0)), NO_CROWDS).value == 0
    assert judge_objects(objects(), objects(), NO_CROWDS).value == 1
    assert judge_objects(objects(), objects((0, 2, 0)), NO_CROWDS).value == 0


def test_crowds_excuse_what_lies_in_them() -> None:
    crowd = objects((0, 4, 0)).masks
    assert judge_objects(objects(), objects((1, 3, 0)), crowd).extra == 0
    assert judge_objects(objects(), objects((3, 8, 0)), crowd).extra == 1


def test_images_are_evenly_spaced(dataset: CocoDataset) -> None:
    names = sorted(record.path.name for record in dataset.images)
    assert [record.path.name for record in chosen_images(dataset, 1000)] == names
    half = -(-len(names) // 2)
    assert [record.path.name for record in chosen_images(dataset, 2)] == names[::half]


def test_the_worst_come_first(
    models: Mapping[str, SavedModel], dataset: CocoDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that finds everything, but for one image in which it finds nothing."""
    records = [r for r in dataset.images if any(not a.is_crowd for a in r.annotations)]
    records.sort(key=lambda record: record.path.name)
    bad, read_record, read = records[1], judging.read_record, []

    def predict(saved: SavedModel, image: np.ndarray, settings: object) -> Instances:
        found = [] if read[-1] is bad else [a for a in read[-1].annotations if not a.is_crowd]
        masks = [segmentation_mask(a.segmentation, *image.shape[:2]) for a in found]
        return Instances(
            boxes=np.array([a.box for a in found], dtype=np.float32).reshape(-1, 4),
            scores=np.full(len(found), 0.9, dtype=np.float32),
            labels=np.array([a.label for a in found], dtype=np.int64),
            masks=np.array(masks, dtype=bool).reshape(len(found), *image.shape[:2]),
        )

    monkeypatch.setattr(judging, "read_record", lambda r: read.append(r) or read_record(r))
    monkeypatch.setattr(judging, "predict_image", predict)
    with shared_style():
        drawn = validation.draw(models, dataset, num_images=2)
    first, second = drawn.content["images"]
    assert (first.name, first.quality, first.found) == (bad.path.name, 0, 0)
    assert first.missed == sum(not a.is_crowd for a in bad.annotations) > 0
    assert second.quality == pytest.approx(1)
    assert first.predicted.alternative_text == "nothing found"
    assert first.truth.source != first.predicted.source


def test_a_real_model_is_shown(models: Mapping[str, SavedModel], dataset: CocoDataset) -> None:
    with shared_style():
        drawn = validation.draw(models, dataset, num_images=1, looked_at=1)
    (image,) = drawn.content["images"]
    assert drawn.image_ids == [image.image_id]
    assert 0 <= image.quality <= 1
