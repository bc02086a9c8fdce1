import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling
from cityscapesscripts.helpers.labels import labels
from PIL import Image

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.generated.cityscapes_layout import generate_cityscapes
from pointrend_repro.evaluation import evaluate_predictions
from pointrend_repro.evaluation.semantic_iou import cityscapes_miou
from pointrend_repro.settings.generated import GeneratedSettings

official = evalPixelLevelSemanticLabeling
CLASSES = {label.name for label in labels if label.id >= 0 and not label.ignoreInEval}
ROAD, SIDEWALK, CAR, VOID, PARKING = 7, 8, 26, 0, 9


def save(path: Path, ids: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(ids, dtype=np.uint8)).save(path)


def write_pairs(root: Path, *pairs: tuple) -> tuple[Path, Path]:
    """Write (ground truth, prediction) arrays of label ids in the official layout."""
    for index, (truth, predicted) in enumerate(pairs):
        stem = f"edgeheim_{index:06d}_000019"
        save(root / "gtFine/val/edgeheim" / f"{stem}_gtFine_labelIds.png", truth)
        save(root / "predictions" / f"{stem}_leftImg8bit.png", predicted)
    return root, root / "predictions"


@pytest.fixture
def small(tmp_path: Path) -> tuple[Path, Path]:
    return write_pairs(tmp_path, (np.full((4, 6), ROAD), np.full((4, 6), ROAD)))


def prediction_of(predictions: Path) -> Path:
    return predictions / "edgeheim_000000_000019_leftImg8bit.png"


def test_hand_counted_pixels(tmp_path):
    # Void counts for nothing; parking, predicted on road, is a miss and no false positive.
    truth = [[ROAD, ROAD, ROAD, ROAD, CAR, CAR, VOID, VOID]]
    predicted = [[ROAD, ROAD, PARKING, CAR, CAR, CAR, CAR, SIDEWALK]]
    scores = cityscapes_miou(*write_pairs(tmp_path, (truth, predicted)))
    assert scores["IoU road"] == pytest.approx(100 * 2 / 4)
    assert scores["IoU car"] == pytest.approx(100 * 2 / 3)
    assert scores["IoU sidewalk"] is None
    assert scores["mIoU"] == pytest.approx((scores["IoU road"] + scores["IoU car"]) / 2)
    assert set(scores) == {"mIoU"} | {f"IoU {name}" for name in CLASSES}


def test_a_class_that_is_only_predicted_counts_as_zero(tmp_path):
    scores = cityscapes_miou(*write_pairs(tmp_path, ([[ROAD, ROAD]], [[ROAD, CAR]])))
    assert scores["IoU car"] == 0
    assert scores["mIoU"] == 25


def test_pixels_of_all_images_are_pooled(tmp_path):
    first = ([[ROAD] * 8], [[ROAD] * 8])
    second = ([[ROAD, ROAD]], [[CAR, CAR]])
    assert cityscapes_miou(*write_pairs(tmp_path, first, second))["IoU road"] == 80


def test_nothing_to_score(tmp_path):
    scores = cityscapes_miou(*write_pairs(tmp_path, ([[VOID, PARKING]], [[ROAD, CAR]])))
    assert set(scores.values()) == {None}


def test_equals_the_official_command_on_generated_scenes(tmp_path, monkeypatch, capfd):
    options = GeneratedSettings(train_images=0, val_images=4, width_px=160, height_px=96, classes=8)
    generate_cityscapes(tmp_path / "truth", options)
    truths = sorted((tmp_path / "truth").glob("gtFine/val/*/*_labelIds.png"))
    for path in truths:
        shifted = np.roll(np.asarray(Image.open(path)), (2, 3), axis=(0, 1))
        save(tmp_path / "predictions" / path.name, shifted)
    scores = cityscapes_miou(tmp_path / "truth", tmp_path / "predictions")
    assert capfd.readouterr().out == ""
    # The tool's own search for predictions, and its own settings but for what needs np.in1d.
    for name, value in [("evalInstLevelScore", False), ("JSONOutput", False), ("quiet", True)]:
        monkeypatch.setattr(official.args, name, value)
    monkeypatch.setattr(official.args, "predictionPath", str(tmp_path / "predictions"))
    monkeypatch.setattr(official.args, "predictionWalk", None)
    found = [official.getPrediction(official.args, str(path)) for path in truths]
    expected = official.evaluateImgLists(found, [str(path) for path in truths], official.args)
    assert scores["mIoU"] == 100 * expected["averageScoreClasses"]
    for name in CLASSES:
        iou = expected["classScores"][name]
        assert scores[f"IoU {name}"] == (None if np.isnan(iou) else 100 * iou)


def test_dispatch_by_name_leaves_the_tool_as_it_was(small):
    scores = evaluate_predictions("cityscapes_miou", *map(str, small))
    assert scores["mIoU"] == 100
    # Its defaults, as its file has them.
    assert not official.args.quiet
    assert official.args.JSONOutput
    assert official.args.evalInstLevelScore


def test_predictions_may_lie_in_folders_by_city(small):
    root, predictions = small
    (predictions / "edgeheim").mkdir()
    prediction_of(predictions).rename(predictions / "edgeheim" / "edgeheim_000000_000019.png")
    assert cityscapes_miou(root, predictions)["mIoU"] == 100


def test_no_ground_truth(small, tmp_path):
    with pytest.raises(UserError, match=r"gtFine/val: has no .*the folder that holds"):
        cityscapes_miou(tmp_path / "gtFine", small[1])


def test_no_folder_of_predictions(small, tmp_path):
    with pytest.raises(UserError, match="nowhere: no such folder"):
        cityscapes_miou(small[0], tmp_path / "nowhere")


def test_missing_prediction(small):
    prediction_of(small[1]).unlink()
    with pytest.raises(UserError, match=r"has no prediction edgeheim_000000_000019\*\.png"):
        cityscapes_miou(*small)


def test_two_predictions_for_one_image(small):
    save(small[1] / "deeper/edgeheim_000000_000019_color.png", np.full((4, 6), ROAD))
    with pytest.raises(UserError, match="has 2 predictions edgeheim_000000_000019"):
        cityscapes_miou(*small)


def test_wrong_size(small):
    save(prediction_of(small[1]), np.full((2, 3), ROAD))
    with pytest.raises(UserError, match=r"leftImg8bit\.png: is \(2, 3\) pixels .* \(4, 6\)"):
        cityscapes_miou(*small)


@pytest.mark.parametrize("largest", [34, 255])
def test_unknown_label_id(small, largest):
    save(prediction_of(small[1]), np.full((4, 6), largest))
    with pytest.raises(UserError, match=rf"leftImg8bit\.png: {largest} is not a label id"):
        cityscapes_miou(*small)


def test_unknown_label_id_in_the_ground_truth(small):
    (path,) = small[0].glob("gtFine/val/*/*.png")
    save(path, np.full((4, 6), 40))
    with pytest.raises(UserError, match=r"gtFine_labelIds\.png: 40 is not a label id"):
        cityscapes_miou(*small)


def test_sixteen_bits_are_not_cut_to_eight(small):
    Image.fromarray(np.full((4, 6), 256 + ROAD, dtype=np.uint16)).save(prediction_of(small[1]))
    with pytest.raises(UserError, match="263 is not a label id"):
        cityscapes_miou(*small)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_several_channels(small, mode):
    Image.new(mode, (6, 4)).save(prediction_of(small[1]))
    with pytest.raises(UserError, match="not a PNG with a single channel"):
        cityscapes_miou(*small)


def test_another_format_under_the_name_of_a_png(small):
    Image.new("L", (6, 4), ROAD).save(prediction_of(small[1]), format="JPEG")
    with pytest.raises(UserError, match="not a PNG with a single channel"):
        cityscapes_miou(*small)


def test_truncated_prediction(small):
    path = prediction_of(small[1])
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UserError, match=r"leftImg8bit\.png: not a whole PNG"):
        cityscapes_miou(*small)


def test_a_missing_export_folder_of_the_tool_does_not_matter(small):
    # Read when the tool is imported, so in a process of its own.
    code = (
        "import os, sys; from pathlib import Path; "
        "from pointrend_repro.evaluation.semantic_iou import cityscapes_miou; "
        "print(cityscapes_miou(*map(Path, sys.argv[1:]))['mIoU']); "
        "print(os.environ['CITYSCAPES_EXPORT_DIR'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, small)],
        env={**os.environ, "CITYSCAPES_EXPORT_DIR": "nowhere"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["100.0", "nowhere"]
