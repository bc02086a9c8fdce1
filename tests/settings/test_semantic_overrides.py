"""A preset sets how many points PointRend's semantic models predict in a step."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.provenance import digest
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.reporting.captions import settings_in_force, shown_in_force
from pointrend_repro.settings.identity import settings_digest
from small_semantic_experiment import DATASET, PRESET, write_semantic_config

POINTS = {"points_per_step": 40}
WITH, WITHOUT = "deeplabv3_pointrend_r103", "deeplabv3_r103"


def preset_with(folder: Path, inference: Any) -> Grid:
    """The small preset, with this under `semantic.inference`."""
    config = write_semantic_config(folder / "config")
    path = config / f"presets/{PRESET}.yaml"
    values = yaml.safe_load(path.read_text())
    values["overrides"]["semantic"]["inference"] = inference
    path.write_text(yaml.safe_dump(values))
    return load_grid(PRESET, config)


def test_only_predictions_with_pointrend_are_made_anew(tmp_path: Path) -> None:
    plain, fewer = (preset_with(tmp_path / n, i) for n, i in (("a", {}), ("b", POINTS)))
    for training in plain.trainings:
        pair = training.dataset, training.variant
        before, after = (settings_digest(g.training_settings(*pair)) for g in (plain, fewer))
        assert before == after
    changed = set()
    for prediction in plain.predictions:
        way = prediction.training.variant, prediction.inference
        before, after = (settings_digest(g.inference_settings(*way)) for g in (plain, fewer))
        changed |= {way[0]} if before != after else set()
    assert changed == {v for v in plain.variants if "pointrend" in v}
    assert fewer.inference_settings(WITH, "default").points_per_step == 40
    assert fewer.inference_settings(WITHOUT, "os8").points_per_step == 8096


def test_the_page_and_figures_say_so(tmp_path: Path) -> None:
    plain, fewer = (preset_with(tmp_path / n, i) for n, i in (("a", {}), ("b", POINTS)))
    number = next(e for e in fewer.evaluations if e.prediction.training.variant == WITH)
    told = "points_per_step 40 (default 8096)"
    assert told in settings_in_force(fewer, number)
    assert told in shown_in_force(fewer, [(DATASET, WITH)])
    assert "tested with" not in shown_in_force(fewer, [(DATASET, WITHOUT)])
    assert "tested with" not in shown_in_force(plain, [(DATASET, WITH)])
    assert plain.shown_with != fewer.shown_with


def test_figures_of_a_preset_without_such_models_stay() -> None:
    nuclei = load_grid("mini_nuclei")  # of the same scale as preset mini
    assert nuclei.preset.overrides.semantic.inference.points_per_step == 512
    assert nuclei.shown_with == digest(nuclei.preset.warning)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"points": 512}, r"unknown key overrides\.semantic\.inference\.points;"),
        ({"points_per_step": 0}, r"overrides\.semantic\.inference\.points_per_step"),
        ({"output_stride": 8}, r"unknown key overrides\.semantic\.inference\.output_stride"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, wrong: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        preset_with(tmp_path, wrong)
