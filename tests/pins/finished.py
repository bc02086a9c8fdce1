"""What a finished run left on disk: model files of each kind, and records that go with numbers."""

import json
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from pointrend_repro.checkpoints.saved_models import SavedModel, build_model, save_model
from pointrend_repro.data.generated.coco_layout import generate_coco
from pointrend_repro.settings.generated import GeneratedSettings
from pointrend_repro.settings.schedule import InputSettings
from small_experiment import small_settings, write_small_config
from small_semantic_experiment import make_streets, small_semantic_settings, write_semantic_config

CATEGORIES = [(3, "cat"), (7, "dog")]
KINDS = {
    "4conv": small_settings("4conv").model,
    "pointrend": small_settings("pointrend").model,
    "deeplabv3": small_semantic_settings("deeplabv3").model,
    "semantic_fpn": small_semantic_settings("semantic_fpn", pointrend=False).model,
}


def model_files() -> dict[str, Any]:
    """By kind of model, the header of its file: metadata, names, types and shapes."""
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for kind, settings in KINDS.items():
            path = Path(folder) / f"{kind}.safetensors"
            model = build_model(settings, len(CATEGORIES))
            save_model(path, SavedModel(model, InputSettings(), CATEGORIES))
            found[kind] = _header(path)
    return found


def _header(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    metadata = json.loads(header.pop("__metadata__")["pointrend_repro"])
    return {
        "metadata": metadata,
        "tensors": {name: [entry["dtype"], *entry["shape"]] for name, entry in header.items()},
    }


def write_model_file(path: Path, header: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Write a file with such a header and random numbers, and return these."""
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, (dtype, *shape) in header["tensors"].items():
        assert dtype == "F32", f"{name} is {dtype}"
        tensors[name] = torch.rand(shape, generator=generator)
    save_file(tensors, path, {"pointrend_repro": json.dumps(header["metadata"])})
    return tensors


def records() -> dict[str, Any]:
    """A metric file of each kind of predictions, made by the commands from data to number."""
    with tempfile.TemporaryDirectory() as folder:
        return {
            "instances": _instances(Path(folder) / "instances"),
            "label_maps": _label_maps(Path(folder) / "label_maps"),
        }


def _instances(folder: Path) -> Any:
    folder.mkdir()
    write_small_config(folder / "config")
    size = GeneratedSettings(train_images=4, val_images=2, width_px=96, height_px=64, classes=5)
    generate_coco(folder / "data", size)
    truth = "data/annotations/instances_val2017.json"
    what = ["--dataset", "coco_folder", "--variant", "pointrend_r50_fpn"]
    return _run(folder, what, "res224", "predictions.json", "coco_ap", truth)


def _label_maps(folder: Path) -> Any:
    folder.mkdir()
    write_semantic_config(folder / "config")
    make_streets(folder / "data")
    what = ["--dataset", "generated_cityscapes", "--variant", "deeplabv3_r103"]
    return _run(folder, what, "os16", "labels", "cityscapes_miou", "data")


def _run(
    folder: Path, what: list[str], inference: str, predictions: str, metric: str, truth: str
) -> Any:
    preset = ["--preset", "quick", *what, "--config-dir", "config"]
    where = ["--data-root", "data", "--device", "cpu"]
    model = f"results/quick/{what[1]}/{what[3]}/trial0/model.safetensors"
    found = f"{Path(model).parent}/{inference}/{predictions}"
    score = f"{Path(found).parent}/{metric}.json"
    steps = [
        ["train", *preset, *where, "--trial", "0", "--output", model],
        ["predict", *preset, *where, *("--inference", inference, "--model", model)],
        ["evaluate", metric, "--ground-truth", truth, "--predictions", found],
    ]
    steps[1] += ["--output", found]
    steps[2] += ["--output", score, "--resamples", "3"]
    for step in steps:
        command = [sys.executable, "-m", "pointrend_repro", *step]
        subprocess.run(command, cwd=folder, env=os.environ, check=True, capture_output=True)
    return json.loads((folder / score).read_text())
