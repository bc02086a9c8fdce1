"""Photographs, small models, and the command that finds the objects in them."""

from pathlib import Path

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from pointrend_repro.checkpoints.saved_models import SavedModel, build_model, save_model
from pointrend_repro.cli import app
from pointrend_repro.settings.heads import PluginHeadSettings
from pointrend_repro.settings.of_family import AnyModelSettings
from pointrend_repro.settings.schedule import InputSettings
from small_experiment import small_settings
from small_semantic_experiment import small_semantic_settings

CATEGORIES = [(4, "leaf"), (9, "stone")]
SMALL = InputSettings(test_short_edge_px=64, max_long_edge_px=96)


def write_photos(folder: Path, *names: str) -> Path:
    rng = np.random.default_rng(0)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


def write_model(folder: Path, kind: str) -> Path:
    semantic = kind == "deeplabv3"
    settings = small_semantic_settings(kind) if semantic else small_settings(kind)
    return _saved(folder / f"{kind}.safetensors", settings.model)


def write_model_with_own_head(folder: Path, head: str) -> Path:
    model = small_settings("4conv").model
    own = PluginHeadSettings(kind="plugin", head=head, settings={"channels": 8})
    return _saved(folder / "own.safetensors", model.model_copy(update={"mask_head": own}))


def _saved(path: Path, settings: AnyModelSettings) -> Path:
    save_model(path, SavedModel(build_model(settings, len(CATEGORIES)), SMALL, CATEGORIES))
    return path


def segment(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["segment", *map(str, words), "--score-threshold", "0.1"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output
