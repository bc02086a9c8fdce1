"""A training that starts from another one: records, page, plan, and what damage does."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from damaged_run import flip_a_bit, refused_and_kept

from following import FOLLOWER, SOURCE, run_all, write_following_config
from pointrend_repro import cli
from pointrend_repro.base.digests import content_digest
from pointrend_repro.base.files import read_json, write_json
from pointrend_repro.base.origins import origin_path
from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.pipeline.planning.jobs import Places
from pointrend_repro.pipeline.planning.plan import make_plan
from pointrend_repro.pipeline.planning.progress import look_at
from pointrend_repro.reporting.collect import write_metrics
from pointrend_repro.reporting.missing import why_absent
from pointrend_repro.reporting.report import write_report
from pointrend_repro.reporting.results import load_results
from pointrend_repro.reporting.states import RecordsBeside, state_of
from pointrend_repro.reporting.verifying import verify
from small_experiment import DATASET, PRESET


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("finished")


@pytest.fixture
def folder(finished_once: Path, tmp_path: Path, coco_builder: Callable[..., Path]) -> Path:
    """A copy of a run in which everything is done."""
    if not (finished_once / "results").exists():
        coco_builder(root=finished_once / "coco")
        write_following_config(finished_once / "config")
        run_all(finished_once)
    shutil.copytree(finished_once, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def grid(folder: Path) -> Grid:
    return load_grid(PRESET, folder / "config")


def results(folder: Path) -> Path:
    return folder / "results" / PRESET


def model(folder: Path, variant: str) -> Path:
    return results(folder) / DATASET / variant / "trial0/model.safetensors"


def test_the_numbers_story_has_the_training_that_it_began_with(folder: Path, grid: Grid) -> None:
    story = read_json(results(folder) / grid.evaluations[0].path)["origin"]["train"]
    started = story["started_from"]
    assert started["input_digest"] == content_digest(model(folder, SOURCE))
    assert started["origin"]["variant"] == SOURCE
    source = read_json(model(folder, SOURCE).with_suffix(".origin.json"))
    assert started["origin"] == source


def test_the_page_tells_of_both_trainings(folder: Path, grid: Grid) -> None:
    write_metrics(grid, results(folder))
    write_report(grid, results(folder), folder / "reports" / PRESET)
    page = (folder / "reports" / PRESET / "index.html").read_text()
    for variant in (SOURCE, FOLLOWER):
        assert f"train {DATASET}/{variant}/trial0" in page
    assert "2 of 2 trainings" in page
    assert "<dt>started from</dt>" in page


def test_all_is_done_and_verified(folder: Path, grid: Grid) -> None:
    progress = look_at(grid, results(folder))
    assert all(progress.is_trained(training) for training in grid.trainings)
    assert verify(grid, results(folder)).problems == ()
    flip_a_bit(model(folder, SOURCE))
    (problem,) = verify(grid, results(folder)).problems
    assert problem.startswith(f"{model(folder, SOURCE)}: is not what")


def test_a_number_whose_source_was_trained_anew_since_is_marked(folder: Path, grid: Grid) -> None:
    (evaluation, *_) = grid.evaluations
    assert load_results(grid, results(folder))[evaluation].state == "as made"
    origin = origin_path(model(folder, SOURCE))
    record = read_json(origin)
    record["train"]["output_digest"] = f"sha256:{'0' * 64}"
    write_json(origin, record)
    found = load_results(grid, results(folder))[evaluation]
    assert found.state == "other source"
    assert found.altered == "not trained from the current weights of its source"


def test_a_file_of_weights_is_compared_with_what_was_read_of_it(tmp_path: Path) -> None:
    weights = tmp_path / "theirs.pkl"
    start = {"weights": str(weights), "parts": ["backbone"]}
    write_following_config(tmp_path / "config", start)
    grid = load_grid(PRESET, tmp_path / "config")
    (evaluation,) = grid.evaluations
    assert RecordsBeside(grid, tmp_path).of(evaluation).source is None  # it is needed no more
    weights.write_text("others")
    today = RecordsBeside(grid, tmp_path).of(evaluation)
    assert today.source == content_digest(weights)
    train = {"started_from": {"input_digest": f"sha256:{'0' * 64}"}}
    assert state_of({"origin": {"train": train}}, today) == "other source"
    train["started_from"]["input_digest"] = content_digest(weights)
    assert state_of({"origin": {"train": train}}, today) != "other source"


def test_why_a_number_is_not_there_begins_with_the_first_training(tmp_path: Path) -> None:
    write_following_config(tmp_path / "config")
    grid = load_grid(PRESET, tmp_path / "config")
    (evaluation,) = grid.evaluations
    (tmp_path / DATASET).mkdir()
    (tmp_path / DATASET / "dataset.json").touch()
    log = model(tmp_path, SOURCE).with_name("train.log").relative_to(results(tmp_path))
    (tmp_path / log).parent.mkdir(parents=True)
    (tmp_path / log).write_text("Killed\n")
    absent = why_absent(evaluation, tmp_path, grid.before(evaluation.prediction), grid.kind_of)
    assert absent.reason == f"train {DATASET}/{SOURCE}/trial0 failed: Killed"


def test_the_plan_has_both_trainings_one_after_the_other(tmp_path: Path) -> None:
    write_following_config(tmp_path / "config")
    preset = tmp_path / f"config/presets/{PRESET}.yaml"
    # With trunks whose speed is published.
    values = yaml.safe_load(preset.read_text())
    preset.write_text(yaml.safe_dump({k: v for k, v in values.items() if k != "overrides"}))
    grid = load_grid(PRESET, tmp_path / "config")
    places = Places(tmp_path / "results", tmp_path / "reports", CONFIG_DIR)
    plan = make_plan(grid, places, gpu="v100", gpus_per_training=8, gpus=64)
    assert {line.variant for line in plan.trainings} == {SOURCE, FOLLOWER}
    assert {job.rule: job.to_do for job in plan.jobs}["train"] == 2
    # Any number of GPUs has to wait for the first.
    assert plan.longest_training_hours.high == pytest.approx(plan.train_gpu_hours.high / 8)
    assert plan.wall_hours == plan.longest_training_hours


def test_a_damaged_source_is_moved_aside(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    source = model(folder, SOURCE)
    flip_a_bit(source)
    damaged = source.read_bytes()
    shutil.rmtree(model(folder, FOLLOWER).parent)
    command = [
        *("pointrend-repro", "train", "--preset", PRESET, "--dataset", DATASET),
        *("--variant", FOLLOWER, "--trial", "0", "--device", "cpu"),
        *("--config-dir", str(folder / "config"), "--data-root", str(folder / "coco")),
        *("--start-from", str(source), "--output", str(model(folder, FOLLOWER))),
    ]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    refused_and_kept(capfd.readouterr().err, source, damaged)
