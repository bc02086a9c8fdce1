"""A detector without masks, from its training to its score, and what it refuses."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import pointrend_repro as pr
from pointrend_repro.api.demo import write_overlay
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json
from pointrend_repro.checkpoints.loading import load_own_file
from pointrend_repro.checkpoints.saved_models import load_saved_model
from pointrend_repro.data.coco import read_coco
from pointrend_repro.data.images import read_image
from pointrend_repro.data.paths import DataPaths
from pointrend_repro.data.structures import Detections
from pointrend_repro.experiments.drawable import _lacking
from pointrend_repro.figures.detections import show_detections
from pointrend_repro.modeling.build import build_mask_rcnn
from pointrend_repro.pipeline.steps.evaluation import run_evaluation
from pointrend_repro.pipeline.steps.prediction import run_prediction
from pointrend_repro.pipeline.steps.training import run_training
from pointrend_repro.predictions.ensembles import make_ensemble
from pointrend_repro.predictions.instances import detect, write_results
from pointrend_repro.settings.at_test import DetectionAtTest
from pointrend_repro.settings.ensemble import EnsembleSettings
from pointrend_repro.settings.instances import InferenceSettings
from predicted import predict_dataset
from small_experiment import small_settings

EVERYTHING = InferenceSettings(test=DetectionAtTest(score_threshold=0.0))
EXPERIMENT = {"preset": "quick", "dataset": "coco_folder", "variant": "boxes", "trial": 0}


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for data and a model; filled by the first test that needs it."""
    return tmp_path_factory.mktemp("boxes")


@pytest.fixture
def trained(trained_once: Path, coco_builder: Callable[..., Path]) -> tuple[Path, DataPaths]:
    """A model after two updates, and its data."""
    root, model = trained_once / "coco", trained_once / "model.safetensors"
    annotations = root / "annotations"
    data = DataPaths(
        root=root,
        train_images=root / "train2017",
        train_annotations=annotations / "instances_train2017.json",
        val_images=root / "val2017",
        val_annotations=annotations / "instances_val2017.json",
        lvis_annotations=None,
    )
    if not model.exists():
        coco_builder(root=root)
        settings = small_settings("none", schedule={"total_iters": 2, "lr_drop_iters": [1]})
        run_training(EXPERIMENT, settings, data, output=model, device="cpu")
    return model, data


def test_boxes_are_trained_predicted_and_scored(
    trained: tuple[Path, DataPaths], tmp_path: Path
) -> None:
    model, data = trained
    predictions = tmp_path / "predictions.json"
    run_prediction("default", EVERYTHING, data, model=model, output=predictions, device="cpu")
    found = json.loads(predictions.read_text())
    assert len(found) > 10
    assert all(set(e) == {"image_id", "category_id", "bbox", "score"} for e in found)
    truth = data.val_annotations
    output = tmp_path / "coco_box_ap.json"
    run_evaluation("coco_box_ap", truth, predictions, output=output)
    written = json.loads(output.read_text())["values"]
    assert written == pr.evaluate_predictions("coco_box_ap", truth, predictions)
    assert written["AP"] is not None
    with pytest.raises(UserError, match="has no 'segmentation', and this metric is of masks"):
        run_evaluation("coco_ap", truth, predictions, output=tmp_path / "coco_ap.json")
    assert not (tmp_path / "coco_ap.json").exists()


def test_the_file_is_loaded_and_used_by_name(
    trained: tuple[Path, DataPaths], tmp_path: Path
) -> None:
    path, data = trained
    model = pr.load_model(path, test={"score_threshold": 0.0})
    image = next(data.val_images.glob("*.*"))
    found = model.predict(read_image(image))
    assert found.masks is None
    assert len(found.boxes) == len(found.scores) == 10
    overlay = tmp_path / "overlay.png"
    plain = read_image(image)
    one = pr.load_model(path, test={"score_threshold": 0.0, "detections_per_image": 1})
    write_overlay(image, overlay, one, score_threshold=0.0)
    drawn = (read_image(overlay) != plain).any(axis=2)
    assert 0 < drawn.mean() < 0.9  # outlines and a name; the inside of a box is not tinted
    with_masks = small_settings("4conv").model
    with pytest.raises(UserError, match="other settings"):
        load_saved_model(path, configured=with_masks)


def test_what_draws_masks_says_that_there_are_none(trained: tuple[Path, DataPaths]) -> None:
    path, data = trained
    saved = load_own_file(path)
    found = detect(saved, read_image(next(data.val_images.glob("*.*"))), EVERYTHING)
    with pytest.raises(UserError, match=r"no mask head .* predicts boxes only"):
        show_detections(None, None, found, [])


def test_a_figure_of_masks_is_refused_before_anything_runs() -> None:
    settings = small_settings("none").model.model_dump()
    assert _lacking(settings, ["mask_head"]) == "mask_head"
    assert _lacking(small_settings("4conv").model.model_dump(), ["mask_head"]) == ""


@pytest.mark.parametrize("masks", [True, False])
def test_detections_are_selected_with_all_that_they_have(*, masks: bool) -> None:
    logits = torch.arange(4.0)[:, None, None].expand(4, 2, 2) if masks else None
    points = None if masks else torch.arange(4.0)[:, None, None].expand(4, 5, 3)
    numbers = torch.arange(4)
    found = Detections(numbers[:, None].expand(4, 4), numbers / 4, numbers, logits, points)
    for keep in (torch.tensor([3, 1]), numbers % 2 == 1, slice(1, 3)):
        some = found.select(keep)
        wanted = numbers[keep].tolist()
        assert some.labels.tolist() == some.boxes[:, 0].tolist() == wanted
        assert (some.mask_logits is None) == (not masks)
        own = some.mask_logits if masks else some.keypoints
        assert own is not None
        assert own[:, 0, 0].tolist() == wanted


def test_models_without_masks_predict_together_and_only_with_their_like(
    trained: tuple[Path, DataPaths], tmp_path: Path
) -> None:
    path, data = trained
    saved = load_own_file(path)
    settings = EnsembleSettings(variants=("other",), nms_iou=0.9)
    together = make_ensemble((lambda: saved, lambda: saved), settings)
    dataset, output = read_coco(data.val_images, data.val_annotations), tmp_path / "p.json"
    write_results(together, dataset, EVERYTHING, output)
    pooled, alone = read_json(output), predict_dataset(saved, dataset, EVERYTHING)
    assert 0 < len(pooled) <= len(alone)
    assert not any("segmentation" in each for each in pooled)
    with_masks = build_mask_rcnn(small_settings("4conv").model, len(saved.categories))
    other = dataclasses.replace(saved, model=with_masks)
    with pytest.raises(UserError, match="other has a mask head, unlike the variant itself"):
        make_ensemble((lambda: saved, lambda: other), settings)
    with pytest.raises(UserError, match="other has no mask head, unlike the variant itself"):
        make_ensemble((lambda: other, lambda: saved), settings)
