"""Results without Snakemake's notes: those of other settings are kept, but not in silence."""

import json
from pathlib import Path
from typing import Any

import pytest

from pointrend_repro.base.origins import origin_path
from pointrend_repro.base.provenance import digest
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.pipeline.kept_results import kept_in_words

RESULTS = Path("results/smoke")


@pytest.fixture(scope="module")
def grid() -> Grid:
    return load_grid("smoke")


def write(result: Path, step: str, settings: dict[str, Any]) -> None:
    result.parent.mkdir(parents=True, exist_ok=True)
    result.mkdir(exist_ok=True) if result.suffix == "" else result.touch()
    record = {"settings": settings, "settings_digest": digest(settings)}
    origin_path(result).write_text(json.dumps({step: record}))


@pytest.fixture
def finished(grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The models and predictions of a whole run, copied without `.snakemake`."""
    monkeypatch.chdir(tmp_path)
    made = []
    for training in grid.trainings:
        settings = grid.training_settings(training.dataset, training.variant)
        made.append(RESULTS / training.model_path)
        write(made[-1], "train", settings.model_dump(mode="json"))
    for prediction in grid.predictions:
        way = grid.inference_settings(prediction.training.variant, prediction.inference)
        made.append(RESULTS / prediction.path(grid.kind_of(prediction)))
        write(made[-1], "predict", way.model_dump(mode="json"))
    return made


def change(result: Path) -> None:
    origin = json.loads(origin_path(result).read_text())
    for record in origin.values():
        record["settings"] |= {"no_longer": 1}
        record["settings_digest"] = digest(record["settings"])
    origin_path(result).write_text(json.dumps(origin))


def test_results_of_todays_settings_need_no_word(grid: Grid, finished: list[Path]) -> None:
    assert kept_in_words(grid, RESULTS) is None
    origin_path(finished[0]).write_text("{")
    assert kept_in_words(grid, RESULTS) is None, "a damaged record is told by who reads it"


def test_results_of_other_settings_are_counted(grid: Grid, finished: list[Path]) -> None:
    change(finished[1])
    line = kept_in_words(grid, RESULTS)
    assert line is not None
    assert line.startswith(f"1 of {len(finished)} models and predictions in {RESULTS} ")
    assert f"remove them ({finished[1]};" in line
    change(finished[-1])
    line = kept_in_words(grid, RESULTS)
    assert line is not None
    assert line.startswith(f"2 of {len(finished)} ")
    assert f"({finished[1]} ...;" in line
    finished[1].unlink()  # what is made anew anyway
    finished[-1].rename(finished[-1].with_name("moved"))
    assert kept_in_words(grid, RESULTS) is None


def test_a_preset_without_results_needs_no_word(
    grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert kept_in_words(grid, RESULTS) is None
