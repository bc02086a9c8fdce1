"""Semantic trainings that take a second, as settings and as a `config/` folder."""

import shutil
from pathlib import Path
from typing import Any

import yaml

from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.data.generated.cityscapes_layout import generate_cityscapes
from pointrend_repro.settings.generated import GeneratedSettings
from pointrend_repro.settings.semantic import SemanticTrainingSettings

PRESET = "quick"
DATASET = "generated_cityscapes"
SIZE = GeneratedSettings(train_images=5, val_images=2, width_px=96, height_px=64, classes=8)

OVERRIDES: dict[str, Any] = {
    "model": {
        "backbone": {
            "name": "resnet18_narrow",
            "norm": "gn",
            "freeze_at": 0,
            "multi_grid": [],
            "fpn_channels": 8,
            "weights": None,
        },
    },
    "decoder": {
        "deeplabv3": {"channels": 8, "norm": "gn", "image_pooling_px": [32, 64]},
        "semantic_fpn": {"channels": 32},
    },
    "pointrend": {"train_points": 24, "channels": 8},
    "input": {
        "crop_px": [32, 64],
        "train_short_edges_px": [32, 48, 64],
        "test_short_edge_px": 64,
        "max_long_edge_px": 96,
    },
    "optimizer": {"images_per_batch": 2, "warmup_iters": 3},
    "schedule": {"total_iters": 8, "lr_drop_iters": []},
}
RUN = {"log_every_iters": 1, "checkpoint_every_iters": 3, "loader_workers": 0, "samples": 0}


def small_semantic_settings(
    decoder: str = "deeplabv3", *, pointrend: bool = True, **changes: dict[str, Any]
) -> SemanticTrainingSettings:
    """Settings of an eight-update training; `changes` are merged into the section they name."""
    stride = 16 if decoder == "deeplabv3" else 32
    model = {
        "backbone": OVERRIDES["model"]["backbone"] | {"output_stride": stride},
        "decoder": {"kind": decoder, **OVERRIDES["decoder"][decoder]},
        "pointrend": OVERRIDES["pointrend"] if pointrend else None,
    }
    sections = {key: OVERRIDES[key] for key in ("input", "optimizer", "schedule")} | {"run": RUN}
    values = {key: section | changes.get(key, {}) for key, section in sections.items()}
    values["model"] = model | changes.get("model", {})
    return SemanticTrainingSettings.model_validate(values)


def make_streets(root: Path) -> Path:
    """Draw a small Cityscapes."""
    generate_cityscapes(root, SIZE)
    return root


def write_semantic_config(folder: Path) -> Path:
    """Copy `config/` and add the preset `quick`: one trial of Tables 6, 7 and trimap."""
    shutil.copytree(CONFIG_DIR, folder)
    preset = {
        "title": "Quick",
        "warning": "Preset quick: for tests.",
        "tables": ["table6", "table7", "trimap"],
        "datasets": {"cityscapes": DATASET},
        "trials": {"cityscapes": 1},
        "overrides": {"semantic": OVERRIDES, "run": RUN},
    }
    (folder / "presets" / f"{PRESET}.yaml").write_text(yaml.safe_dump(preset))
    return folder
