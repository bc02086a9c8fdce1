"""The whole loop learns: a few hundred updates on four real images find their objects again."""

import json
from pathlib import Path

import pytest

from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import CocoDataset, ImageRecord, read_coco
from pointrend_repro.evaluation import evaluate_predictions
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.predictions.instances import predict_dataset
from pointrend_repro.settings.instances import InferenceSettings, TrainingSettings
from pointrend_repro.training.loop import train

# Seeds 0, 1, 2 reached mask AP 83, 93, 84 (PointRend) and 79, 73, 70 (4x conv).
EDGE_PX = 192
TOTAL_ITERS = 400


def overfit_settings(variant: str) -> TrainingSettings:
    """The `tiny` preset's model, on images that always look the same."""
    settings = load_grid("tiny").training_settings("coco_folder", variant).model_dump()
    settings["input"] |= {
        "train_short_edges_px": [EDGE_PX],
        "test_short_edge_px": EDGE_PX,
        "max_long_edge_px": 2 * EDGE_PX,
        "flip_probability": 0.0,
    }
    settings["optimizer"] |= {"images_per_batch": 2, "base_lr": 0.01, "warmup_iters": 50}
    settings["schedule"] = {"total_iters": TOTAL_ITERS, "lr_drop_iters": [TOTAL_ITERS * 3 // 4]}
    return TrainingSettings.model_validate(settings)


def simple_images(dataset: CocoDataset, count: int) -> list[ImageRecord]:
    """The images with the fewest objects, among those with some and no crowd."""
    usable = [
        i for i in dataset.images if i.annotations and not any(a.is_crowd for a in i.annotations)
    ]
    return sorted(sorted(usable, key=lambda i: len(i.annotations))[:count], key=lambda i: i.id)


def write_ground_truth(annotations: Path, image_ids: set[int], path: Path) -> None:
    document = json.loads(annotations.read_text())
    document["images"] = [i for i in document["images"] if i["id"] in image_ids]
    document["annotations"] = [a for a in document["annotations"] if a["image_id"] in image_ids]
    path.write_text(json.dumps(document))


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["pointrend_r50_fpn", "mask_rcnn_r50_fpn"])
def test_overfits_four_real_images(variant: str, shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "coco_tiny"
    annotations = folder / "annotations" / "instances_train2017.json"
    dataset = read_coco(folder / "train2017", annotations)
    four = CocoDataset(dataset.categories, tuple(simple_images(dataset, 4)))
    settings = overfit_settings(variant)

    model = train(settings, four, seed=0, folder=tmp_path / "run", device="cpu").eval()

    saved = SavedModel(model, settings.input, [(c.id, c.name) for c in four.categories])
    results = list(predict_dataset(saved, four, InferenceSettings()))
    (tmp_path / "predictions.json").write_text(json.dumps(results))
    write_ground_truth(annotations, {i.id for i in four.images}, tmp_path / "truth.json")
    scores = evaluate_predictions("coco_ap", tmp_path / "truth.json", tmp_path / "predictions.json")
    assert scores["AP"] > 50, scores
