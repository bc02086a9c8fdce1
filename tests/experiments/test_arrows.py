"""Trainings that start from others: which there are, in which order, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from config_files import config_file
from following import FOLLOWER, SOURCE, START, write_following_config, write_variant
from pointrend_repro.base.errors import UserError
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.experiments.nodes import Training
from pointrend_repro.settings.identity import settings_digest
from small_experiment import DATASET, PRESET


def grid_of(folder: Path, start: dict[str, Any] = START) -> Grid:
    return load_grid(PRESET, write_following_config(folder / "config", start))


def digest_of(grid: Grid) -> str:
    return settings_digest(grid.training_settings(DATASET, FOLLOWER))


def test_a_source_that_no_table_shows_is_trained(tmp_path: Path) -> None:
    grid = grid_of(tmp_path)
    follower, source = Training(DATASET, FOLLOWER, 0), Training(DATASET, SOURCE, 0)
    assert [p.training for p in grid.predictions] == [follower]
    assert grid.trainings == [follower, source]
    assert grid.source_of(follower) == source
    assert grid.source_of(source) is None


def test_trial_k_starts_from_trial_k_through_all_of_a_chain(tmp_path: Path) -> None:
    config = write_following_config(tmp_path / "config", {"variant": "middle"})
    write_variant(config, "middle", "pointrend_r50_fpn", START)
    preset = config / f"presets/{PRESET}.yaml"
    preset.write_text(preset.read_text().replace("coco: 1", "coco: 2"))
    grid = load_grid(PRESET, config)
    assert len(grid.trainings) == 6
    assert grid.sources_of(Training(DATASET, FOLLOWER, 1)) == [
        Training(DATASET, SOURCE, 1),
        Training(DATASET, "middle", 1),
    ]


def test_a_change_of_the_source_is_a_change_of_the_follower(tmp_path: Path) -> None:
    config = write_following_config(tmp_path / "config", {"variant": "middle"})
    write_variant(config, "middle", "pointrend_r50_fpn", START)
    before = digest_of(load_grid(PRESET, config))
    source = config_file(f"variants/{SOURCE}", config)
    assert "schedule: 1x" in source.read_text()
    source.write_text(source.read_text() + "\n# a comment alone changes nothing\n")
    assert digest_of(load_grid(PRESET, config)) == before
    source.write_text(source.read_text().replace("kind: 4conv", "kind: sharpmask"))
    assert digest_of(load_grid(PRESET, config)) != before


def test_the_source_may_be_of_another_data_set(tmp_path: Path) -> None:
    config = write_following_config(tmp_path / "config", START | {"dataset": "cityscapes"})
    preset = config / f"presets/{PRESET}.yaml"
    with pytest.raises(UserError, match=r"start_from\.dataset: 'cityscapes' is not one of the pre"):
        load_grid(PRESET, config)
    text = preset.read_text()
    text = text.replace("  coco: coco_folder", "  coco: coco_folder\n  cityscapes: generated_coco")
    preset.write_text(text.replace("  coco: 1", "  coco: 1\n  cityscapes: 1"))
    source = load_grid(PRESET, config).source_of(Training(DATASET, FOLLOWER, 0))
    assert source == Training("generated_coco", SOURCE, 0)


def test_a_circle_is_refused_with_its_path(tmp_path: Path) -> None:
    config = write_following_config(tmp_path / "config", {"variant": "middle"})
    write_variant(config, "middle", "pointrend_r50_fpn", {"variant": FOLLOWER})
    circle = f"{DATASET}/{FOLLOWER} -> {DATASET}/middle -> {DATASET}/{FOLLOWER}$"
    with pytest.raises(UserError, match=circle):
        load_grid(PRESET, config)


@pytest.mark.parametrize(
    ("start", "told"),
    [
        ({"variant": SOURCE, "weights": "a.pkl"}, "either variant or weights"),
        ({"parts": ["rpn"]}, "either variant or weights"),
        ({"weights": "a.pkl", "dataset": "coco"}, "dataset goes with variant"),
        ({"weights": "a.pkl", "parts": []}, "parts is empty"),
        ({"weights": "a.pkl", "parts": ["rpn."]}, "start_from.parts.0"),
        ({"variant": "nobody"}, "there is no variant 'nobody'"),
    ],
)
def test_what_is_refused(start: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=told):
        grid_of(tmp_path, start)


def test_detectron2_starts_from_nothing_else(tmp_path: Path) -> None:
    config = write_following_config(tmp_path / "config")
    path = config / f"variants/{FOLLOWER}.yaml"
    path.write_text(path.read_text() + "engine: detectron2\n")
    with pytest.raises(UserError, match="engine detectron2 cannot start_from other weights"):
        load_grid(PRESET, config)


def test_a_file_of_a_preset_is_for_variants_that_start_from_nothing_else(tmp_path: Path) -> None:
    config = write_following_config(tmp_path / "config")
    preset = config / f"presets/{PRESET}.yaml"
    text = preset.read_text()
    preset.write_text(text.replace("overrides:", "overrides:\n  start_from: {weights: w.pkl}"))
    grid = load_grid(PRESET, config)
    starts = [grid.training_settings(DATASET, name).start_from for name in (SOURCE, FOLLOWER)]
    assert [start and (start.weights, start.variant) for start in starts] == [
        ("w.pkl", None),
        (None, SOURCE),
    ]
    preset.write_text(
        text.replace("overrides:", f"overrides:\n  start_from: {{variant: {SOURCE}}}")
    )
    with pytest.raises(UserError, match="a preset names weights"):
        load_grid(PRESET, config)
