"""Proposals of small images: those of an obvious slow implementation, in COCO's format."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask
from torch import Tensor, nn

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.origins import origin_path
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.config.reading import with_test
from pointrend_repro.data.coco import Category, CocoDataset, ImageRecord
from pointrend_repro.data.paths import DataPaths
from pointrend_repro.declarations.prediction_kind import PREDICTION_KINDS
from pointrend_repro.modeling.deepmask.model import DeepMask
from pointrend_repro.modeling.deepmask.pasting import window_pixels
from pointrend_repro.pipeline.steps.prediction import run_prediction
from pointrend_repro.pipeline.steps.training import run_training
from pointrend_repro.predictions.mask_proposals import predict_image, propose, write_proposals
from pointrend_repro.predictions.overlays import best_proposals
from pointrend_repro.predictions.proposals import read_proposals
from pointrend_repro.settings.deepmask import DeepMaskModelSettings
from pointrend_repro.settings.deepmask_inference import DeepMaskInferenceSettings, ProposalsAtTest
from pointrend_repro.settings.deepmask_training import DeepMaskTrainingSettings
from pointrend_repro.settings.identity import identity
from pointrend_repro.settings.schedule import InputSettings
from small_experiment import CocoBuilder

SPLITS = ("train", "val")
W, STRIDE = 32, 16


def small(*, refined: bool = True) -> SavedModel:
    """A network whose shared convolutions see one cell only, so that a patch is a window.

    tests/modeling/test_deepmask_windows.py says where else they differ.
    """
    torch.manual_seed(3)
    settings: dict[str, Any] = {
        "backbone": {"name": "resnet18_narrow"},
        "patch_px": W,
        "feature_channels": 8,
        "bottleneck_channels": 16,
        "score_channels": 12,
        "mask_resolution": 8,
        "refinement": {"k": 16, "skip_channels": [8]} if refined else None,
    }
    model = DeepMask(DeepMaskModelSettings.model_validate(settings), 1).eval()
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, std=1.4 / layer.weight[0].numel() ** 0.5)
            shared = not name.endswith(("conv_mask", "predictor"))
            if shared and layer.weight.dim() == 4 and layer.weight.shape[2] == 3:
                with torch.no_grad():
                    centre = layer.weight[:, :, 1:2, 1:2].clone()
                    layer.weight.zero_()
                    layer.weight[:, :, 1:2, 1:2] = centre * 3
        if name.endswith("conv_mask"):
            nn.init.ones_(layer.bias)
    for part in (model.coarse_mask, *([model.refinement.predictor] if refined else [])):
        nn.init.normal_(part.weight, std=2.0)  # masks have both signs
    return SavedModel(model, InputSettings(), [(1, "object")])


def picture(height: int, width: int) -> NDArray[np.uint8]:
    generator = np.random.default_rng(5)
    coarse = generator.integers(0, 255, (height // 6 + 2, width // 6 + 2, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def slowly(
    saved: SavedModel, image: NDArray[np.uint8], settings: DeepMaskInferenceSettings
) -> list[tuple[float, NDArray[np.bool_]]]:
    """Cut every patch of every size out of the image, run the network on it, and paste its mask."""
    found = []
    for scale in settings.scales(W):
        found += _of_size(saved.model, image, scale, settings)
    found.sort(key=lambda pair: -pair[0])
    best = found[: settings.proposals]
    return [(score, mask) for score, mask in best if mask.any()]


def _of_size(
    model: Any, image: NDArray[np.uint8], scale: float, settings: DeepMaskInferenceSettings
) -> list[tuple[float, NDArray[np.bool_]]]:
    height, width = (max(round(side * scale), 1) for side in image.shape[:2])
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float()
    if (height, width) != image.shape[:2]:
        pixels = F.interpolate(pixels, size=(height, width), mode="bilinear", antialias=True)
    context = model.settings.context_px
    around = W // 2 + context + STRIDE
    pixels = F.pad(pixels, (around,) * 4, value=128)
    found = []
    for y in range(0, height + STRIDE, STRIDE):
        for x in range(0, width + STRIDE, STRIDE):
            side = W + 2 * context
            patch = pixels[:, :, y + STRIDE : y + STRIDE + side, x + STRIDE : x + STRIDE + side]
            score, logits = _of_patch(model, patch, context)
            box = [x - W / 2, y - W / 2, x + W / 2, y + W / 2]
            per_pixel = [width / image.shape[1], height / image.shape[0]] * 2
            placed = [place / ratio for place, ratio in zip(box, per_pixel, strict=True)]
            found.append((score, _paste(logits, placed, image, settings.mask_threshold)))
    return found


@torch.no_grad()
def _of_patch(model: DeepMask, patch: Tensor, context: int) -> tuple[float, Tensor]:
    features = []
    for i, maps in enumerate(model.features(patch)):
        cells = context // STRIDE * 2**i
        features.append(maps[:, :, cells:-cells, cells:-cells])
    reduced, vectors = model.bottleneck(features[0])
    score = float(model.score_head(features[0], reduced, vectors).sigmoid())
    if model.refinement is None:
        return score, model.coarse_masks(vectors.flatten(1))[0]
    return score, model.refinement(vectors.flatten(1), model.refinement.skips(features))[0]


def _paste(
    logits: Tensor, box: list[float], image: NDArray[np.uint8], threshold: float
) -> NDArray[np.bool_]:
    """Ask at each pixel of the image what the mask is there: bilinear, from the four cells."""
    x0, y0, x1, y1 = box
    cells, values = len(logits), logits.double().numpy()
    mask = np.zeros(image.shape[:2], dtype=bool)
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            u, v = (column + 0.5 - x0) / (x1 - x0), (row + 0.5 - y0) / (y1 - y0)
            if not (0 <= u < 1 and 0 <= v < 1):
                continue
            x, y = (min(max(t * cells - 0.5, 0), cells - 1) for t in (u, v))
            left, top = min(int(x), cells - 2), min(int(y), cells - 2)
            a, b = x - left, y - top
            four = values[top : top + 2, left : left + 2]
            value = (1 - b) * ((1 - a) * four[0, 0] + a * four[0, 1])
            value += b * ((1 - a) * four[1, 0] + a * four[1, 1])
            mask[row, column] = 1 / (1 + np.exp(-value)) > threshold
    return mask


@pytest.mark.parametrize("refined", [True, False], ids=["sharpmask", "deepmask"])
def test_an_obvious_slow_implementation_finds_the_same(refined: bool) -> None:
    saved = small(refined=refined)
    image = picture(37, 45)
    settings = DeepMaskInferenceSettings(octaves=(-1, 0.5), proposals=25)
    found = predict_image(saved, image, settings)
    expected = slowly(saved, image, settings)
    assert len(expected) > 20
    np.testing.assert_allclose(found.scores, [score for score, _ in expected], rtol=1e-4)
    for mask, box, (_, wanted) in zip(found.masks, found.boxes, expected, strict=True):
        assert (mask != wanted).mean() < 2e-3  # a logit at the threshold may fall to either side
        rows, columns = np.nonzero(mask)
        tight = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert box.tolist() == tight


def test_pixels_outside_the_box_or_the_image_are_background() -> None:
    logits = torch.full((4, 4), 9.0)
    for box, expected in [
        ([2.0, 3.0, 6.0, 5.0], (2, 3, 6, 5)),
        ([2.4, 3.0, 6.6, 5.0], (2, 3, 7, 5)),  # pixels whose centres lie inside
        ([2.6, 3.0, 6.4, 5.0], (3, 3, 6, 5)),
        ([-50.0, -50.0, 60.0, 60.0], (0, 0, 10, 8)),
    ]:
        window = window_pixels(logits, torch.tensor(box), 8, 10, threshold=0.2)
        width, height = window.columns.shape
        assert (window.left, window.top) == expected[:2]
        assert (window.left + width, window.top + height) == expected[2:]
        assert window.columns.all()
    nowhere = window_pixels(logits, torch.tensor([-9.0, 0.0, -1.0, 5.0]), 8, 10, threshold=0.2)
    assert nowhere.columns.size == 0
    nothing = window_pixels(-logits, torch.tensor([0.0, 0.0, 5.0, 5.0]), 8, 10, threshold=0.2)
    assert nothing.columns.size == 0


def test_the_threshold_is_of_probabilities() -> None:
    """A probability between the two thresholds."""
    logits, box = torch.full((4, 4), 0.3).logit(), torch.tensor([0.0, 0.0, 5.0, 5.0])
    sizes = {t: window_pixels(logits, box, 5, 5, threshold=t).columns.size for t in (0.2, 0.5)}
    assert sizes == {0.2: 25, 0.5: 0}


def test_nms_leaves_no_two_masks_that_overlap_more() -> None:
    saved, image = small(), picture(60, 60)
    plain = DeepMaskInferenceSettings(octaves=(-1, 0.5), proposals=60)
    every = predict_image(saved, image, plain)
    kept = predict_image(saved, image, plain.model_copy(update={"nms_iou": 0.4}))
    assert 1 < len(kept.scores) < len(every.scores)
    flat = kept.masks.reshape(len(kept.masks), -1).astype(float)
    overlap = flat @ flat.T
    area = flat.sum(axis=1)
    iou = overlap / (area[:, None] + area - overlap)
    assert (iou - np.eye(len(iou))).max() <= 0.4
    # Greedy from the best: the first is kept, and who is left out overlaps a better one.
    assert kept.scores[0] == every.scores[0]
    scores = kept.scores.tolist()
    for score, mask in zip(every.scores.tolist(), every.masks, strict=True):
        if score not in scores:
            better = [m for s, m in zip(scores, kept.masks, strict=True) if s >= score]
            assert max((mask & m).sum() / (mask | m).sum() for m in better) > 0.4


def test_a_test_setting_of_nms_goes_first() -> None:
    saved, image = small(), picture(60, 60)
    plain = DeepMaskInferenceSettings(octaves=(-1, 0.5), proposals=60)
    expected = predict_image(saved, image, plain.model_copy(update={"nms_iou": 0.4}))
    for own in (None, 0.9):
        asked = with_test(
            plain.model_copy(update={"nms_iou": own}), {"nms_iou": "0.4"}, where="--test"
        )
        assert predict_image(saved, image, asked).scores.tolist() == expected.scores.tolist()
    assert identity(asked)["test"] == {"nms_iou": 0.4}
    assert "test" not in identity(DeepMaskInferenceSettings())  # digests stay as they were


def test_masks_of_a_large_picture_are_drawn_when_they_are_asked_for() -> None:
    saved, image = small(refined=False), picture(40, 6000)
    settings = DeepMaskInferenceSettings(octaves=(0, 0), proposals=200)
    tracemalloc.start()
    try:
        found = predict_image(saved, image, settings)
        shown = best_proposals(found)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    count = len(found.scores)
    assert count > 150
    assert taken < count * 40 * 6000 / 8
    assert shown.masks is not None
    assert found.masks.shape == (count, *image.shape[:2])
    assert found.masks is found.masks  # drawn once
    np.testing.assert_array_equal(shown.masks, found.masks[:10])
    for box, mask in zip(found.boxes, found.masks, strict=True):
        rows, columns = np.nonzero(mask)
        assert box[:2].tolist() == [columns.min(), rows.min()]
        assert box[2:].tolist() == [columns.max() + 1, rows.max() + 1]


def dataset(folder: Path, *sizes: tuple[int, int]) -> CocoDataset:
    records = []
    for number, (height, width) in enumerate(sizes, 7):
        path = folder / f"{number}.png"
        Image.fromarray(picture(height, width)).save(path)
        records.append(ImageRecord(number, path, width, height, ()))
    return CocoDataset((Category(3, "a"), Category(9, "b")), tuple(records))


def test_results_are_in_coco_s_format_without_classes(tmp_path: Path) -> None:
    saved, data = small(), dataset(tmp_path, (40, 30), (2, 3))
    settings = DeepMaskInferenceSettings(octaves=(-1, 0), proposals=12)
    path = tmp_path / PREDICTION_KINDS.find("proposals").path
    write_proposals(saved, data, settings, path)
    results = json.loads(path.read_text())
    assert {entry["image_id"] for entry in results} == {7, 8}
    assert {entry["category_id"] for entry in results} == {1}
    scores = [entry["score"] for entry in results if entry["image_id"] == 7]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) <= 12
    for entry in results:
        assert entry["segmentation"]["size"] == ([40, 30] if entry["image_id"] == 7 else [2, 3])
        assert coco_mask.toBbox(entry["segmentation"]).tolist() == entry["bbox"]
    found = predict_image(saved, picture(40, 30), settings)
    decoded = [coco_mask.decode(e["segmentation"]) for e in results if e["image_id"] == 7]
    assert np.array_equal(np.array(decoded, dtype=bool), found.masks)


def test_other_models_can_be_given_the_boxes(tmp_path: Path) -> None:
    saved, data = small(), dataset(tmp_path, (40, 30))
    settings = DeepMaskInferenceSettings(octaves=(-1, 0), proposals=12)
    assert PREDICTION_KINDS.find("proposals").has_boxes
    write_proposals(saved, data, settings, tmp_path / "proposals.json")
    given = read_proposals(tmp_path / "proposals.json", at_most=5)
    found = predict_image(saved, picture(40, 30), settings)
    np.testing.assert_array_equal(given[7], found.boxes[:5])


def test_an_image_of_another_size_than_its_record_is_refused(tmp_path: Path) -> None:
    data = dataset(tmp_path, (40, 30))
    Image.new("RGB", (9, 9)).save(tmp_path / "7.png")
    output = tmp_path / "proposals.json"
    with pytest.raises(UserError, match="do not match"):
        write_proposals(small(), data, DeepMaskInferenceSettings(), output)
    assert not output.exists()


def test_the_size_that_a_test_asks_for() -> None:
    """The image is seen at that size, and the pyramid starts from there."""
    saved, image = small(refined=False), picture(40, 60)
    asked = {"octaves": (0, 0), "proposals": 20, "test": {"short_edge_px": 20}}
    halved = list(propose(saved, image, DeepMaskInferenceSettings.model_validate(asked)))
    plain = {"octaves": (-1, -1), "proposals": 20}
    expected = list(propose(saved, image, DeepMaskInferenceSettings.model_validate(plain)))
    # The one is resized by Pillow and rounded to whole numbers.
    np.testing.assert_allclose([s for s, _ in halved], [s for s, _ in expected], atol=2e-2)


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in (
        {"octaves": [1, 0]},
        {"mask_threshold": 0},
        {"mask_threshold": 1},
        {"zoom": 3},
        {"proposals": 0},
        {"octaves": [0, 9]},
    ):
        with pytest.raises(ValueError, match=r"octaves|mask_threshold|zoom|proposals"):
            DeepMaskInferenceSettings.model_validate(wrong)


def test_a_training_and_its_proposals_as_steps_of_the_pipeline(
    coco_builder: CocoBuilder, tmp_path: Path
) -> None:
    """Images are seen at their own size, whatever the input settings of the training say."""
    root = coco_builder()
    splits = [(root / f"{s}2017", root / f"annotations/instances_{s}2017.json") for s in SPLITS]
    data = DataPaths(root, *splits[0], *splits[1], None)
    training = DeepMaskTrainingSettings.model_validate(
        {
            "model": {"backbone": {"name": "resnet18_narrow", "norm": "gn"}, "patch_px": 32},
            "optimizer": {"images_per_batch": 2, "images_per_step": 2},
            "schedule": {"total_iters": 1},
            "run": {"log_every_iters": 1, "loader_workers": 0, "samples": 0},
        }
    )
    model, output = tmp_path / "model.safetensors", tmp_path / "proposals.json"
    run_training({"variant": "small", "trial": 0}, training, data, output=model, device="cpu")
    settings = DeepMaskInferenceSettings(octaves=(-1, 0), proposals=3)
    run_prediction("few", settings, data, model=model, output=output, device="cpu")
    step = json.loads(origin_path(output).read_text())["predict"]
    assert step["tested_with"] == ProposalsAtTest().model_dump()
    assert set(step["tested_with"].values()) == {None}
    assert step["settings"]["proposals"] == 3
    images = [entry["image_id"] for entry in json.loads(output.read_text())]
    assert sorted(set(images)) == [1001, 1002]
    assert max(map(images.count, images)) <= 3
