"""Results in COCO's format and in pixels of the image on disk, from a detector that is made up."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import Category, CocoDataset, ImageRecord
from pointrend_repro.data.structures import Detections
from pointrend_repro.modeling.build import build_mask_rcnn
from pointrend_repro.predictions.instances import predict_image
from pointrend_repro.settings.instances import InferenceSettings, ModelSettings
from pointrend_repro.settings.schedule import InputSettings
from predicted import predict_dataset

CATEGORIES = [(3, "rectangle"), (7, "triangle"), (20, "diamond")]
# An image of 60 x 100 pixels is seen by the network at 40 x 66: 5/3 and 50/33 are not the same.
INPUT = InputSettings(test_short_edge_px=40, max_long_edge_px=66)
WIDTH, HEIGHT = 100, 60


class MadeUpDetector:
    """Finds what it was told to, in pixels of the network's input, and records its input."""

    def __init__(self, found: Detections) -> None:
        self.backbone = SimpleNamespace(pixel_mean=torch.zeros(3, 1, 1))
        self.found = found
        self.seen: list[torch.Tensor] = []
        self.settings: list[InferenceSettings] = []

    def detect(
        self,
        images: list[torch.Tensor],
        settings: InferenceSettings,
        proposals: list[torch.Tensor] | None = None,
    ) -> list[Detections]:
        assert proposals is None
        self.seen += images
        self.settings.append(settings)
        return [self.found for _ in images]


def detections(*boxes: list[float]) -> Detections:
    count = len(boxes)
    logits = torch.full((count, 8, 8), 20.0)
    logits[:, :, 4:] = -20.0  # the left half of each box
    return Detections(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.linspace(0.9, 0.5, count) if count else torch.zeros(0),
        torch.arange(count) % 3,
        logits,
    )


def saved_model(found: Detections) -> SavedModel:
    detector: Any = MadeUpDetector(found)
    return SavedModel(detector, INPUT, CATEGORIES)


def dataset(tmp_path: Path, count: int = 1, size: tuple[int, int] = (WIDTH, HEIGHT)) -> CocoDataset:
    records = []
    for image_id in range(11, 11 + count):
        path = tmp_path / f"{image_id}.png"
        Image.new("RGB", (WIDTH, HEIGHT), (9, 9, 9)).save(path)
        records.append(ImageRecord(image_id, path, *size, ()))
    return CocoDataset(tuple(Category(*c) for c in CATEGORIES), tuple(records))


def is_left_half(mask: np.ndarray, box: tuple[int, int, int, int]) -> bool:
    """Whether a mask fills the left half of a box, up to the corners that interpolation rounds."""
    x0, y0, x1, y1 = box
    wanted = np.zeros((HEIGHT, WIDTH), dtype=bool)
    wanted[y0:y1, x0 : (x0 + x1) // 2] = True
    rows, columns = np.nonzero(mask)
    extent = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    filled = mask.sum() / wanted.sum()
    return extent == (x0, y0, (x0 + x1) // 2, y1) and not (mask & ~wanted).any() and filled > 0.95


BOX = [6.6, 8.0, 33.0, 32.0]  # of the network's 66 x 40: 10, 12, 50, 48 of the image's pixels


def test_results_are_in_pixels_of_the_image() -> None:
    saved = saved_model(detections(BOX))
    out = predict_image(saved, np.zeros((HEIGHT, WIDTH, 3), np.uint8), InferenceSettings())
    assert saved.model.seen[0].shape == (3, 40, 66)
    np.testing.assert_allclose(out.boxes, [[10, 12, 50, 48]], rtol=1e-5)
    assert out.scores.tolist() == pytest.approx([0.9])
    assert out.labels.tolist() == [0]
    assert out.masks.dtype == bool
    assert is_left_half(out.masks[0], (10, 12, 50, 48))


def test_results_are_in_coco_s_format(tmp_path: Path) -> None:
    saved = saved_model(detections(BOX, [0, 0, 66, 40], [33, 20, 66, 40]))
    data = dataset(tmp_path, count=2)
    results = json.loads(json.dumps(predict_dataset(saved, data, InferenceSettings())))
    assert [r["image_id"] for r in results] == [11, 11, 11, 12, 12, 12]
    assert [r["category_id"] for r in results[:3]] == [3, 7, 20]
    assert [r["score"] for r in results[:3]] == pytest.approx([0.9, 0.7, 0.5])
    assert results[0]["bbox"] == pytest.approx([10, 12, 40, 36], rel=1e-5)
    boxes = [(10, 12, 50, 48), (0, 0, 100, 60), (50, 30, 100, 60)]
    for result, box in zip(results, boxes * 2, strict=True):
        assert result["segmentation"]["size"] == [HEIGHT, WIDTH]
        decoded = coco_mask.decode(result["segmentation"]).astype(bool)
        assert is_left_half(decoded, box)


def test_the_official_tool_loads_the_results(tmp_path: Path) -> None:
    saved = saved_model(detections(BOX))
    results = predict_dataset(saved, dataset(tmp_path), InferenceSettings())
    truth = COCO()
    truth.dataset = {
        "images": [{"id": 11, "width": WIDTH, "height": HEIGHT}],
        "categories": [{"id": k, "name": name} for k, name in CATEGORIES],
        "annotations": [],
    }
    truth.createIndex()
    loaded = truth.loadRes(results)
    (annotation,) = loaded.loadAnns(loaded.getAnnIds())
    assert is_left_half(loaded.annToMask(annotation) > 0, (10, 12, 50, 48))


def test_inference_settings_reach_the_detector(tmp_path: Path) -> None:
    saved = saved_model(detections())
    settings = InferenceSettings(output_resolution=56, points_per_step=12)
    predict_dataset(saved, dataset(tmp_path), settings)
    assert saved.model.settings == [settings]


def test_no_detections_at_all(tmp_path: Path) -> None:
    saved = saved_model(detections())
    assert not predict_dataset(saved, dataset(tmp_path, 2), InferenceSettings())
    out = predict_image(saved, np.zeros((HEIGHT, WIDTH, 3), np.uint8), InferenceSettings())
    assert out.boxes.shape == (0, 4)
    assert out.scores.shape == out.labels.shape == (0,)
    assert out.masks.shape == (0, HEIGHT, WIDTH)
    assert out.masks.dtype == bool


def test_boxes_without_area_are_left_out_with_all_that_belongs_to_them() -> None:
    saved = saved_model(detections([5, 5, 5, 9], BOX, [66, 0, 70, 9]))
    out = predict_image(saved, np.zeros((HEIGHT, WIDTH, 3), np.uint8), InferenceSettings())
    assert out.labels.tolist() == [1]
    assert out.scores.tolist() == pytest.approx([0.7])
    assert is_left_half(out.masks[0], (10, 12, 50, 48))


@pytest.mark.parametrize(
    "categories",
    [CATEGORIES[:2], CATEGORIES[::-1], [(3, "rectangle"), (7, "triangle"), (21, "diamond")]],
    ids=["fewer", "another order", "another id"],
)
def test_other_categories_are_refused(tmp_path: Path, categories: list[tuple[int, str]]) -> None:
    data = dataset(tmp_path)
    other = CocoDataset(tuple(Category(*c) for c in categories), data.images)
    with pytest.raises(UserError, match=r"trained for the categories \(3: rectangle"):
        predict_dataset(saved_model(detections()), other, InferenceSettings())


def test_an_image_of_another_size_than_annotated_is_refused(tmp_path: Path) -> None:
    """Its masks would else lie on a grid that is not its own."""
    data = dataset(tmp_path, size=(HEIGHT, WIDTH))
    with pytest.raises(UserError, match=r"11\.png: is 100x60 pixels.* says 60x100"):
        predict_dataset(saved_model(detections(BOX)), data, InferenceSettings())


@pytest.mark.parametrize("shape", [(60, 100), (1, 1), (20, 200)], ids=str)
def test_a_real_detector_keeps_the_contract(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    settings = ModelSettings.model_validate(
        {
            "backbone": {"name": "resnet18_narrow", "norm": "gn", "fpn_channels": 8},
            "detector": {"box_head_channels": 8, "rpn_post_nms": 20, "detections_per_image": 6},
            "mask_head": {"kind": "pointrend", "coarse_channels": 8, "point_channels": 4},
        }
    )
    model = build_mask_rcnn(settings, num_classes=3).eval()
    grey = np.random.default_rng(0).integers(0, 256, (*shape, 1), dtype=np.uint8)
    image = grey.repeat(3, axis=2)
    out = predict_image(SavedModel(model, INPUT, CATEGORIES), image, InferenceSettings())
    assert len(out.boxes) == len(out.scores) == len(out.labels) == len(out.masks) > 0
    assert out.masks.shape[1:] == shape
    assert (out.boxes >= 0).all()
    assert (out.boxes[:, 2] <= shape[1]).all()
    assert (out.boxes[:, 3] <= shape[0]).all()
    assert (np.diff(out.scores) <= 0).all()
    for mask, (x0, y0, x1, y1) in zip(out.masks, out.boxes, strict=True):
        rows, columns = np.nonzero(mask)
        inside = (columns + 0.5 > x0) & (columns + 0.5 < x1) & (rows + 0.5 > y0) & (rows + 0.5 < y1)
        assert inside.all()
