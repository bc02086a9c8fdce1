"""Experiments narrow enough to train in a second, as settings and as a `config/` folder."""

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.data.coco import CocoDataset, read_coco
from pointrend_repro.settings.instances import TrainingSettings

# What the fixture `coco_builder` is: makes a data set, and returns its folder.
CocoBuilder = Callable[..., Path]
# What the fixture `run` is: arguments of the command line to exit code, stdout and stderr.
Run = Callable[..., tuple[int, str, str]]

PRESET = "quick"
VARIANT = "pointrend_r50_fpn"
DATASET = "coco_folder"

OVERRIDES: dict[str, Any] = {
    "model": {
        "backbone": {
            "name": "resnet18_narrow",
            "norm": "gn",
            "freeze_at": 0,
            "fpn_channels": 8,
            "weights": None,
        },
        "detector": {
            "anchor_sizes_px": [8, 16, 32, 48, 64],
            "rpn_pre_nms_train": 50,
            "rpn_pre_nms_test": 50,
            "rpn_post_nms": 30,
            "roi_batch_per_image": 16,
            "box_head_channels": 16,
            "detections_per_image": 10,
        },
    },
    "mask_head": {
        "4conv": {"channels": 8},
        "pointrend": {"coarse_channels": 16, "point_channels": 8},
    },
    "input": {
        "train_short_edges_px": [48, 64],
        "test_short_edge_px": 64,
        "max_long_edge_px": 96,
    },
    "optimizer": {"images_per_batch": 2, "base_lr": 0.01, "warmup_iters": 3},
    "schedule": {"total_iters": 8, "lr_drop_iters": [6]},
    "run": {
        "log_every_iters": 1,
        "checkpoint_every_iters": 3,
        "loader_workers": 0,
        "samples": 0,
    },
}


def small_settings(head: str = "pointrend", **changes: dict[str, Any]) -> TrainingSettings:
    """Settings of an eight-update training; `changes` are merged into the section they name."""
    values = {key: OVERRIDES[key] | changes.get(key, {}) for key in OVERRIDES if key != "mask_head"}
    values["model"] = values["model"] | {
        "mask_head": {"kind": head, **OVERRIDES["mask_head"].get(head, {})}
    }
    return TrainingSettings.model_validate(values)


def read_train_split(root: Path) -> CocoDataset:
    return read_coco(root / "train2017", root / "annotations/instances_train2017.json")


def write_small_config(folder: Path, **changes: dict[str, Any]) -> Path:
    """Copy `config/` and add the preset `quick`: one trial of Table 1 on a folder of COCO.

    `changes` are merged into the section of the overrides that they name.
    """
    shutil.copytree(CONFIG_DIR, folder)
    overrides = copy.deepcopy(OVERRIDES)
    for section, values in changes.items():
        overrides[section] |= values
    preset = {
        "title": "Quick",
        "warning": "Preset quick: for tests.",
        "tables": ["table1"],
        "datasets": {"coco": DATASET},
        "trials": {"coco": 1},
        "overrides": overrides,
    }
    (folder / "presets" / f"{PRESET}.yaml").write_text(yaml.safe_dump(preset))
    return folder
