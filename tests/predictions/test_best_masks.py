"""The upper bound of average recall is that of all masks, and takes the memory of a few."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as mask_utils
import pytest
import torch
from torch import nn

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import read_coco
from pointrend_repro.data.examples import read_record
from pointrend_repro.data.paths import DataPaths
from pointrend_repro.evaluation import evaluate_predictions
from pointrend_repro.modeling.deepmask.model import DeepMask
from pointrend_repro.modeling.deepmask.pasting import window_pixels
from pointrend_repro.modeling.deepmask.windows import boxes_of, find_windows, masks_of
from pointrend_repro.pipeline.steps.prediction import read_split
from pointrend_repro.predictions import best_masks
from pointrend_repro.predictions.mask_proposals import predict_image, write_proposals
from pointrend_repro.predictions.rle import encode_window
from pointrend_repro.settings.deepmask import DeepMaskModelSettings
from pointrend_repro.settings.deepmask_inference import DeepMaskInferenceSettings
from pointrend_repro.settings.deepmask_training import DeepMaskInputSettings

SMALL: dict[str, Any] = {
    "backbone": {"name": "resnet18_narrow"},
    "patch_px": 32,
    "feature_channels": 8,
    "bottleneck_channels": 16,
    "score_channels": 12,
    "mask_resolution": 8,
}
BOUND = DeepMaskInferenceSettings(keep="best_for_objects", octaves=(-0.5, 0.5), mask_threshold=0.5)


@pytest.fixture(scope="module")
def saved() -> SavedModel:
    """A model whose masks are all different, and many of them large."""
    torch.manual_seed(0)
    model = DeepMask(DeepMaskModelSettings.model_validate(SMALL), 1).eval()
    for conv in model.modules():
        if isinstance(conv, nn.Conv2d):
            nn.init.normal_(conv.weight, std=1.4 / conv.weight[0].numel() ** 0.5)
    nn.init.constant_(model.coarse_mask.bias, 2.0)
    return SavedModel(model, DeepMaskInputSettings(), [(1, "thing")])


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images with objects of the size of windows, one of which is a crowd, and none in one."""
    from PIL import Image

    root = tmp_path_factory.mktemp("bound")
    rng = np.random.default_rng(3)
    images, annotations = [], []
    for number in (1, 2, 3):
        pixels = rng.integers(0, 256, (70, 90, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": 70, "width": 90})
        for _ in range(0 if number == 3 else 6):
            x, y = rng.integers(0, 60), rng.integers(0, 35)
            mask = np.zeros((70, 90), bool)
            mask[y : y + rng.integers(18, 40), x : x + rng.integers(18, 40)] = True
            rle = mask_utils.encode(np.asfortranarray(mask, dtype=np.uint8))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "iscrowd": int(len(annotations) == 2),
                    "segmentation": {"size": [70, 90], "counts": rle["counts"].decode()},
                    "area": int(mask.sum()),
                    "bbox": mask_utils.toBbox(rle).tolist(),
                }
            )
    content = {
        "images": images, "annotations": annotations, "categories": [{"id": 1, "name": "thing"}],
    }  # fmt: skip
    (root / "truth.json").write_text(json.dumps(content))
    return root / "truth.json"


def all_masks(saved: SavedModel, pixels: np.ndarray) -> list[dict[str, Any]]:
    image = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
    windows = find_windows(saved.model, image, BOUND, at_most=None)
    boxes = boxes_of(saved.model, windows)
    found = []
    for step, logits in masks_of(saved.model, windows, BOUND):
        for mask, box in zip(logits, boxes[step], strict=True):
            window = window_pixels(mask, box, *pixels.shape[:2], threshold=0.5)
            if window.columns.size:
                found.append(encode_window(window, *pixels.shape[:2]))
    return found


def test_recall_of_the_best_is_that_of_all_masks(
    saved: SavedModel, truth: Path, tmp_path: Path
) -> None:
    dataset = read_coco(truth.parent, truth)
    write_proposals(saved, dataset, BOUND, tmp_path / "best.json")
    values = evaluate_predictions("proposal_recall", truth, tmp_path / "best.json")
    best = []
    for record in dataset.images:
        masks = all_masks(saved, read_record(record))
        objects = [a.segmentation for a in record.annotations if not a.is_crowd]
        if objects:
            best += mask_utils.iou(masks, objects, [0] * len(objects)).max(axis=0).tolist()
    recall = np.mean([[iou >= t for iou in best] for t in np.linspace(0.5, 0.95, 10)])
    assert values["AR@1000"] == pytest.approx(100 * recall)
    assert 5 < values["AR@1000"] < 95
    found = json.loads((tmp_path / "best.json").read_text())
    assert sorted(e["score"] for e in found) == pytest.approx(sorted(b for b in best if b >= 0.5))
    assert {entry["image_id"] for entry in found} <= {1, 2}


def test_most_masks_are_never_made(
    saved: SavedModel, truth: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, seen = [], []
    original = best_masks.masks_of

    def counted(model: DeepMask, windows: Any, settings: Any) -> Any:
        made.append(len(windows))
        for step, logits in original(model, windows, settings):
            seen.append(len(logits))
            yield step, logits

    monkeypatch.setattr(best_masks, "masks_of", counted)
    dataset = read_coco(truth.parent, truth)
    write_proposals(saved, dataset, BOUND, tmp_path / "best.json")
    image = torch.from_numpy(read_record(dataset.images[0]).transpose(2, 0, 1).copy())
    whole = len(find_windows(saved.model, image, BOUND, at_most=None))
    assert 0 < max(made) < whole / 2
    assert max(seen) <= 64


def test_the_objects_that_choose_are_part_of_what_was_read(truth: Path, tmp_path: Path) -> None:
    """So that no part of a prediction outlives a correction of them, and the report notices."""
    objects, images, usual = tmp_path / "objects.json", truth.parent, DeepMaskInferenceSettings()
    data = DataPaths(images, images, objects, images, objects, None)
    found = []
    content = json.loads(truth.read_text())
    for _ in range(2):
        objects.write_text(json.dumps(content))
        found.append([read_split(each, data, "val")[1] for each in (usual, BOUND)])
        content["annotations"].pop()
    (of_usual, of_bound), (of_usual_later, of_bound_later) = found
    assert of_usual == of_usual_later == {"data": of_bound["data"]}
    chosen, later = of_bound["chosen_by"], of_bound_later["chosen_by"]
    assert chosen["part"] == later["part"] == "val_annotations"
    assert chosen["fingerprint"] != later["fingerprint"]


def test_one_image_alone_has_no_objects_to_choose_by(saved: SavedModel) -> None:
    with pytest.raises(UserError, match="needs a data set, whose annotated objects choose"):
        predict_image(saved, np.zeros((70, 90, 3), np.uint8), BOUND)
