"""Keypoints on their way to the results, to the caller, and into a model's file."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from test_prediction import BOX, HEIGHT, INPUT, WIDTH, dataset, detections, saved_model

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.origins import METADATA_KEY
from pointrend_repro.checkpoints.saved_models import (
    SavedModel,
    build_model,
    load_saved_model,
    save_model,
)
from pointrend_repro.data.keypoints import COCO_KEYPOINTS, KeypointDefinition
from pointrend_repro.data.structures import Detections
from pointrend_repro.predictions.ensembles import make_ensemble
from pointrend_repro.predictions.instances import predict_image
from pointrend_repro.predictions.skeletons import joints, limbs
from pointrend_repro.settings.ensemble import EnsembleSettings
from pointrend_repro.settings.instances import InferenceSettings
from predicted import predict_dataset
from small_experiment import small_settings

HANDS = KeypointDefinition(("left", "right"), ((0, 1),), None, ((0, 1),))


def with_keypoints(found: Detections, *points: list[float]) -> Detections:
    """The same keypoints for each object, in pixels of the network's input."""
    each = torch.tensor(points, dtype=torch.float32)
    return replace(found, keypoints=each.expand(len(found.boxes), *each.shape))


# Of the network's 66 x 40 pixels: (50, 30) and (15, 45) of the image's 100 x 60.
POINTS = ([33.0, 20.0, 0.75], [9.9, 30.0, 0.25])


def keypoint_model() -> SavedModel:
    training = small_settings("4conv")
    head = {"num_keypoints": 2, "convs": 1, "channels": 4, "roi_resolution": 7}
    model = type(training.model).model_validate(
        training.model.model_dump() | {"keypoint_head": head}
    )
    torch.manual_seed(0)
    return SavedModel(
        build_model(model, num_classes=2).eval(),
        INPUT,
        [(1, "person"), (2, "dog")],
        keypoints=HANDS,
    )


def test_keypoints_are_in_pixels_of_the_image():
    saved = saved_model(with_keypoints(detections(BOX), *POINTS))
    out = predict_image(saved, np.zeros((HEIGHT, WIDTH, 3), np.uint8), InferenceSettings())
    np.testing.assert_allclose(out.keypoints, [[[50, 30, 0.75], [15, 45, 0.25]]], rtol=1e-5)
    assert out.keypoints.dtype == np.float32


def test_results_have_coco_s_keypoints(tmp_path: Path):
    """Its coordinates are indices of pixels, whose centres are half a pixel further."""
    saved = saved_model(with_keypoints(detections(BOX, [0, 0, 66, 40]), *POINTS))
    found = predict_dataset(saved, dataset(tmp_path), InferenceSettings())
    results = json.loads(json.dumps(list(found)))
    assert len(results) == 2
    for result in results:
        assert result["keypoints"] == pytest.approx([49.5, 29.5, 0.75, 14.5, 44.5, 0.25], rel=1e-5)
        assert {"bbox", "segmentation", "score"} <= set(result)
    truth = COCO()
    truth.dataset = {
        "images": [{"id": 11, "width": WIDTH, "height": HEIGHT}],
        "categories": [{"id": k, "name": name} for k, name in saved.categories],
        "annotations": [],
    }
    truth.createIndex()
    assert len(truth.loadRes(results).getAnnIds()) == 2


def test_models_without_keypoints_have_none(tmp_path: Path):
    saved = saved_model(detections(BOX))
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    assert predict_image(saved, image, InferenceSettings()).keypoints is None
    (result,) = predict_dataset(saved, dataset(tmp_path), InferenceSettings())
    assert "keypoints" not in result


def test_keypoints_of_boxes_without_area_are_left_out():
    found = with_keypoints(detections([70, 0, 80, 10], BOX), *POINTS)
    found.keypoints[0].add(1)
    out = predict_image(
        saved_model(found), np.zeros((HEIGHT, WIDTH, 3), np.uint8), InferenceSettings()
    )
    assert out.keypoints.shape == (len(out.boxes), 2, 3) == (1, 2, 3)


def test_an_ensemble_of_other_keypoints_is_refused():
    saved = keypoint_model()
    settings = EnsembleSettings(variants=("b",))
    with pytest.raises(UserError, match=r"ensemble\.variants: b finds other keypoints"):
        make_ensemble((lambda: saved, lambda: replace(saved, keypoints=None)), settings)


def test_skeletons_leave_out_guesses():
    points = np.array([[1, 2, 0.5], [3, 4, 0.5], [5, 6, 0.01]], np.float32)
    assert joints(points).tolist() == [[1, 2], [3, 4]]
    assert limbs(points, [(0, 1), (1, 2)]).tolist() == [[[1, 2], [3, 4]]]
    assert limbs(points, []).shape == (0, 2, 2)
    assert len(limbs(points, [(0, 1), (1, 2)], 0.0)) == 2


class TestModelFiles:
    def test_names_and_skeleton_travel_with_the_model(self, tmp_path: Path):
        path = tmp_path / "model.safetensors"
        saved = keypoint_model()
        save_model(path, saved)
        loaded = load_saved_model(path)
        assert loaded.keypoints == HANDS
        assert loaded.model.keypoint_head.num_keypoints == 2

    def test_coco_s_definition_survives(self):
        text = json.dumps(asdict(COCO_KEYPOINTS))
        assert len(COCO_KEYPOINTS.names) == len(COCO_KEYPOINTS.sigmas) == 17
        assert len(COCO_KEYPOINTS.skeleton) == 19
        assert len(COCO_KEYPOINTS.flip_pairs) == 8
        for left, right in COCO_KEYPOINTS.flip_pairs:
            names = COCO_KEYPOINTS.names[left], COCO_KEYPOINTS.names[right]
            assert names[0].replace("left", "right") == names[1]
        assert "left_eye" in text

    @pytest.mark.parametrize(
        ("keypoints", "said"),
        [
            (None, "finds 2 keypoints and names 0"),
            (replace(HANDS, names=("only",)), "finds 2 keypoints and names 1"),
            (replace(HANDS, skeleton=((0, 2),)), "skeleton has a keypoint without a name"),
            (replace(HANDS, skeleton=((-1, 0),)), "skeleton has a keypoint without a name"),
        ],
    )
    def test_a_file_with_other_names_is_refused(self, tmp_path: Path, keypoints, said):
        path = tmp_path / "model.safetensors"
        save_model(path, replace(keypoint_model(), keypoints=keypoints))
        with pytest.raises(UserError, match=said):
            load_saved_model(path)

    def test_other_files_do_not_mention_keypoints(self, tmp_path: Path):
        import safetensors

        training = small_settings("4conv")
        model = build_model(training.model, num_classes=1)
        path = tmp_path / "model.safetensors"
        save_model(path, SavedModel(model, INPUT, [(1, "a")]))
        with safetensors.safe_open(path, "pt") as file:
            described = json.loads(file.metadata()[METADATA_KEY])
        assert set(described) == {"model", "input", "categories"}
