"""A method that is not trained has predictions, in one trial, and no training."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from config_files import config_file
from pointrend_repro.base.errors import UserError
from pointrend_repro.config.reading import load_variant
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.experiments.nodes import Training
from pointrend_repro.reporting.captions import settings_in_force
from small_experiment import DATASET, PRESET, write_small_config

VARIANT = "sharpmask_selective_search"
LEARNS = "sharpmask_fast_rcnn_r50"


def write_config(folder: Path, **table: Any) -> Path:
    """The small experiment with the preset's tables of proposals, and three trials."""
    config = write_small_config(folder)
    preset = config / f"presets/{PRESET}.yaml"
    values = yaml.safe_load(preset.read_text())
    values |= {"papers": ["sharpmask"], "tables": ["sharpmask_table3_box"], "figures": []}
    values |= {"datasets": {"coco2014": DATASET}, "trials": {"coco2014": 3}}
    preset.write_text(yaml.safe_dump(values))
    return config


def change(config: Path, name: str, **values: Any) -> None:
    path = config_file(name, config)
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | values, sort_keys=False))


@pytest.fixture
def grid(tmp_path: Path) -> Grid:
    return load_grid(PRESET, write_config(tmp_path / "config"))


def test_it_is_predicted_once_and_never_trained(grid: Grid) -> None:
    (searched,) = [p for p in grid.predictions if p.training.variant == VARIANT]
    assert searched.folder == f"{DATASET}/{VARIANT}/trial0/fast"
    assert VARIANT not in {training.variant for training in grid.trainings}
    assert grid.before(searched) == grid.models_of(searched) == []
    (evaluation,) = [e for e in grid.evaluations if e.prediction == searched]
    cells = [cell for cell in grid.cells if cell.row == "selective_search"]
    assert [cell.evaluations for cell in cells] == [(evaluation,)] * 4
    others = [cell for cell in grid.cells if cell.row == "sharpmask"]
    assert {len(cell.evaluations) for cell in others} == {3}
    told = settings_in_force(grid, evaluation)
    assert told == "proposed (fast) with:\n  the defaults"


def test_its_masks_are_not_asked_for(tmp_path: Path) -> None:
    config = write_config(tmp_path / "config")
    rows = {"searched": {"title": "SS", "variant": VARIANT, "inference": "fast", "paper": {}}}
    change(config, "tables/sharpmask_table3_segm", rows=rows)
    table = yaml.safe_load(config_file("tables/sharpmask_table3_segm", config).read_text())
    preset = {"tables": ["sharpmask_table3_box", "sharpmask_table3_segm"]}
    change(config, f"presets/{PRESET}", **preset)
    cells = [c for c in load_grid(PRESET, config).cells if c.row == "searched"]
    assert len(cells) == len(table["columns"])
    assert {(c.evaluations, c.not_run_because, c.can_run) for c in cells} == {
        ((), "the model predicts no masks", False)
    }


def test_others_learn_from_its_boxes_in_each_trial(tmp_path: Path) -> None:
    config = write_config(tmp_path / "config")
    change(config, f"variants/{LEARNS}", proposals_from={"variant": VARIANT, "inference": "fast"})
    change(config, f"presets/{PRESET}", tables=["sharpmask_table3_box", "sharpmask_table4"])
    grid = load_grid(PRESET, config)
    boxes = [grid.boxes_of(Training(DATASET, LEARNS, trial), "train") for trial in range(3)]
    assert len(set(boxes)) == 1
    assert boxes[0] is not None
    assert boxes[0].folder == f"{DATASET}/{VARIANT}/trial0/fast/on_train"
    before = grid.training_settings(DATASET, LEARNS)
    change(config, f"variants/{VARIANT}", inference={"fast": {"mode": "quality"}})
    after = load_grid(PRESET, config).training_settings(DATASET, LEARNS)
    assert before.proposals_from != after.proposals_from


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"schedule": "90k"}, "schedule"),
        ({"start_from": {"weights": "a.pkl"}}, "start_from"),
        ({"model": {"mode": "fast"}}, "model.mode"),
        ({"inference": {"fast": {"mode": "slow"}}}, "inference.fast.mode"),
        ({"inference": {"fast": {"proposals": 0}}}, "inference.fast.proposals"),
        ({"inference": {"fast": {"seed": -1}}}, "inference.fast.seed"),
        ({"inference": {"fast": {"test": {"short_edge_px": 500}}}}, "at their own size"),
    ],
)
def test_wrong_settings_are_told_in_one_line(
    tmp_path: Path, values: dict[str, Any], told: str
) -> None:
    config = write_config(tmp_path / "config")
    change(config, f"variants/{VARIANT}", **values)
    with pytest.raises(UserError) as error:
        load_variant(VARIANT, config)
    assert told in str(error.value)
    assert "selective_search.yaml" in str(error.value)
    assert "\n" not in str(error.value)
