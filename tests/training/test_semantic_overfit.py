"""The whole loop learns: a few hundred updates on two streets, and their labels come back."""

import shutil
from pathlib import Path

import pytest

from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.generated.cityscapes_layout import generate_cityscapes
from pointrend_repro.data.semantic import read_labelled_images
from pointrend_repro.evaluation import evaluate_predictions
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.predictions.label_maps import write_label_maps
from pointrend_repro.settings.generated import GeneratedSettings
from pointrend_repro.settings.schedule import InputSettings
from pointrend_repro.settings.semantic import SemanticInferenceSettings
from pointrend_repro.settings.semantic import SemanticTrainingSettings as Settings
from pointrend_repro.training.loop import train

# Seed 0 reached mIoU 52 (DeepLabV3 at output stride 16), 65 (with PointRend), 77 (SemanticFPN).
TOTAL_ITERS = 250
STREETS = GeneratedSettings(train_images=2, val_images=1, width_px=128, height_px=64, classes=8)


def overfit_settings(variant: str) -> Settings:
    """The `smoke` preset's model, on images that always look the same."""
    settings = load_grid("smoke").training_settings("generated_cityscapes", variant).model_dump()
    settings["input"] |= {
        "crop_px": [64, 128],
        "train_short_edges_px": [64],
        "test_short_edge_px": 64,
        "flip_probability": 0.0,
        "color_augmentation": None,
    }
    settings["optimizer"] |= {"images_per_batch": 2, "base_lr": 0.02, "warmup_iters": 20}
    settings["schedule"] |= {"total_iters": TOTAL_ITERS}
    settings["run"] |= {"log_every_iters": 50, "checkpoint_every_iters": TOTAL_ITERS}
    if settings["model"]["pointrend"] is not None:
        settings["model"]["pointrend"] |= {"train_points": 512}
    return Settings.model_validate(settings)


@pytest.mark.parametrize(
    ("variant", "at_least"),
    [("deeplabv3_r103", 40), ("deeplabv3_pointrend_r103", 45), ("semantic_fpn_r101", 45)],
)
def test_two_streets_are_learnt(tmp_path: Path, variant: str, at_least: float) -> None:
    root = tmp_path / "streets"
    generate_cityscapes(root, STREETS)
    dataset = read_labelled_images(root, "train")
    model = train(
        overfit_settings(variant), dataset, seed=0, folder=tmp_path / "training", device="cpu"
    )
    classes = [(c.id, c.name) for c in dataset.categories]
    saved = SavedModel(model.eval(), InputSettings(test_short_edge_px=64), classes)
    write_label_maps(saved, dataset, SemanticInferenceSettings(), tmp_path / "labels")
    shutil.rmtree(root / "gtFine/val")
    (root / "gtFine/train").rename(root / "gtFine/val")  # the official tool scores that split
    values = evaluate_predictions("cityscapes_miou", root, tmp_path / "labels")
    assert values["mIoU"] is not None
    assert values["mIoU"] > at_least
