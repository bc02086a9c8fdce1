"""Our keypoint model finds what detectron2's finds with the same weights on the same image.

The recording was made by `record_detectron2.py`; one test runs detectron2 itself.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2_cases import KEYPOINT_CASE, make_image, make_model
from test_against_detectron2 import (
    LOSSES,
    MAX_BOX_PX,
    MAX_LOSS_RELATIVE,
    MAX_SCORE,
    _train,
    needs_detectron2,
)

from pointrend_repro.checkpoints.loading import load_known_model, save_detectron2
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.modeling.detector import MaskRCNN
from pointrend_repro.predictions.instances import Instances, predict_image

MAX_KEYPOINT_PX = 0.05


@pytest.fixture(scope="module")
def model() -> MaskRCNN:
    return make_model(KEYPOINT_CASE)


@pytest.fixture(scope="module")
def recorded() -> dict[str, np.ndarray]:
    return dict(np.load(KEYPOINT_CASE.recording))


def _predict(model: MaskRCNN) -> Instances:
    saved = SavedModel(model, KEYPOINT_CASE.input, KEYPOINT_CASE.known.categories)
    return predict_image(saved, make_image(KEYPOINT_CASE), KEYPOINT_CASE.known.inference)


def _assert_same_people(ours: Instances, theirs: dict[str, np.ndarray]) -> None:
    assert len(ours.scores) == len(theirs["scores"]) >= 20
    np.testing.assert_allclose(ours.boxes, theirs["boxes"], rtol=0, atol=MAX_BOX_PX)
    np.testing.assert_allclose(ours.scores, theirs["scores"], rtol=0, atol=MAX_SCORE)
    assert ours.masks is None
    # All scores: where two pixels are equal up to rounding, either may be the keypoint.
    np.testing.assert_allclose(
        ours.keypoints[..., 2], theirs["keypoints"][..., 2], rtol=1e-3, atol=MAX_SCORE
    )
    away = np.abs(ours.keypoints[..., :2] - theirs["keypoints"][..., :2]).max(axis=2)
    assert (away < MAX_KEYPOINT_PX).mean() >= 0.995


def test_keypoints_are_detectron2s(model, recorded):
    assert np.ptp(recorded["keypoints"], axis=1).min(axis=0)[:2].min() > 1  # not all in one place
    _assert_same_people(_predict(model), recorded)


def test_losses_are_detectron2s(model, recorded):
    wanted = {key: float(v) for key, v in recorded.items() if key.startswith("loss_")}
    assert "loss_keypoint" in wanted
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(LOSSES, "loss_keypoint", "loss_keypoint")
        found = _train(model, KEYPOINT_CASE, recorded)
    assert found == pytest.approx(wanted, rel=MAX_LOSS_RELATIVE)


def test_a_changed_weight_is_noticed(recorded):
    model = make_model(KEYPOINT_CASE)
    with torch.no_grad():
        model.keypoint_head.deconv.weight += 0.02
    with pytest.raises(AssertionError):
        _assert_same_people(_predict(model), recorded)


class TestLive:
    pytestmark = needs_detectron2

    @pytest.mark.slow
    def test_checkpoints_go_both_ways(self, model, tmp_path: Path):
        from detectron2.checkpoint import DetectionCheckpointer
        from detectron2_models import build_detectron2, load_file, predict_detectron2

        case = KEYPOINT_CASE
        save_detectron2(tmp_path / "ours.pkl", SavedModel(model, case.input, case.known.categories))
        theirs = build_detectron2(case)
        load_file(theirs, tmp_path / "ours.pkl")
        found = predict_detectron2(theirs, case)
        _assert_same_people(_predict(model), found)
        DetectionCheckpointer(theirs, str(tmp_path)).save("theirs")
        loaded = load_known_model(case.name, tmp_path / "theirs.pth")
        assert loaded.keypoints == case.known.keypoints
        _assert_same_people(_predict(loaded.model), found)
