"""Trainings that continued interrupted runs: their hours, marks and story in the report."""

from pathlib import Path
from typing import Any

import pytest
from made_up_metrics import make_record, make_result, write_result
from test_page import Page, report

from pointrend_repro.base.files import read_json, write_json
from pointrend_repro.base.own_code import modules_digest
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.reporting.code_state import TodaysCode
from pointrend_repro.reporting.collect import write_metrics
from pointrend_repro.reporting.conditions import Conditions, gather_conditions
from pointrend_repro.reporting.data_state import DataState, in_words, mark_changed
from pointrend_repro.reporting.results import Record, Result, Results

MODULES = ["pointrend_repro", "pointrend_repro.base.names"]
TODAY = {"code_modules": MODULES, "code_digest": modules_digest(MODULES)}
DATA = {"part": "train", "fingerprint": "012345abcdef"}
EARLIER = {
    "iterations": 3,
    "started": "2024-04-30T08:00:00+00:00",
    "wall_s": 3600.0,
    "device": "cuda (X)",
    "world_size": 2,
    "git_commit": "fedcba9876543210",
    "code_digest": "abcdefabcdef",
    "code_modules": MODULES,
    "versions": {"torch": "2.10.0"},
    "data": DATA,
}


def results(grid: Grid, **of_training: Any) -> Results:
    """Of one training, of today's code but for what it says."""
    (evaluation, *_) = grid.evaluations
    content = make_result(grid, evaluation, {"AP": 1.0}, **TODAY)
    content["origin"]["train"] |= of_training
    return {evaluation: Result.model_validate(content)}


def conditions(grid: Grid, **of_training: Any) -> Conditions:
    return gather_conditions(grid, results(grid, **of_training), TodaysCode())


def test_hours_are_those_of_all_runs_each_on_its_own_gpus(paper: Grid) -> None:
    of_all = {"device": "cuda (X)", "world_size": 4, "wall_s": 3 * 3600.0}
    made = conditions(paper, **of_all, continued_from=[EARLIER])
    assert made.gpu_hours == 1 * 2 + 2 * 4
    assert not made.last_parts_only
    assert (made.first_day, made.results_of_other_code) == ("2024-04-30", 1)
    assert made.other_codes == ("abcdefabcdef",)
    assert EARLIER["git_commit"] in made.commits


@pytest.mark.parametrize("earlier", [None, [EARLIER, {"iterations": 2}]])
def test_hours_that_nobody_knows_are_told_as_missing(
    paper: Grid, earlier: list[dict[str, Any]] | None
) -> None:
    """In records of before, and where a checkpoint of before was continued."""
    assert conditions(paper, continued_from=earlier).last_parts_only


@pytest.mark.parametrize(
    ("read", "changed", "words"),
    [
        (DATA, False, "unchanged since the results were made"),
        (DATA | {"fingerprint": "else"}, True, "changed since: 1 of 1 result"),
        (None, None, "not compared: the results were made before data were recorded"),
    ],
)
def test_data_of_an_earlier_run_count(
    paper: Grid, read: dict[str, str] | None, changed: bool | None, words: str
) -> None:
    found = results(paper, data=DATA, continued_from=[EARLIER | {"data": read}])
    (evaluation,) = found
    dataset = evaluation.prediction.training.dataset
    state = DataState({dataset: {"train": DATA["fingerprint"]}})
    marked = mark_changed(found, state)
    (result,) = marked.values()
    assert result.origin.train is not None
    assert result.origin.train.data_changed is changed
    assert in_words(marked).startswith(words)


def test_the_objects_that_chose_the_predictions_count_as_data(paper: Grid, tmp_path: Path) -> None:
    (evaluation, *_) = paper.evaluations
    objects = {"part": "val_annotations", "fingerprint": "abcdef012345"}
    read = {"data": DATA | {"part": "val_images"}, "chosen_by": objects}
    content = make_result(paper, evaluation, {"AP": 1.0})
    content["origin"]["predict"] |= read
    record = Record.model_validate(content["origin"]["predict"])
    for today, changed in ((objects["fingerprint"], False), ("else", True)):
        parts = {"val_images": DATA["fingerprint"], "val_annotations": today}
        assert DataState({"coco": parts}).has_changed("coco", record) is changed
    results_dir = tmp_path / "results" / "paper"
    write_json(results_dir / evaluation.path, content)
    write_metrics(paper, results_dir)
    words = Page(report(paper, results_dir)).words
    assert "data val_images, 012345abcdef, val_annotations, abcdef012345, not compared" in words


def test_the_page_tells_of_earlier_runs(smoke: Grid, tmp_path: Path) -> None:
    results_dir = tmp_path / "results" / "smoke"
    for evaluation in smoke.evaluations:
        path = write_result(results_dir, smoke, evaluation, {"AP": 1.0}, **TODAY)
        content = read_json(path)
        content["origin"]["train"]["continued_from"] = [EARLIER, {"iterations": 2}]
        content["origin"]["train"]["changed_during_run"] = MODULES[1:]
        write_json(path, content)
    write_metrics(smoke, results_dir)
    words = Page(report(smoke, results_dir)).words
    assert (
        "continued from 3 updates by code abcdefabcdef, changed since; commit fedcba987654" in words
    )
    assert "torch 2.10.0" in words
    assert "continued from 2 updates by code that its checkpoint does not name" in words
    assert f"files changed while it ran {MODULES[1]}; it used the files as they were" in words


def test_a_record_of_before_has_no_earlier_runs() -> None:
    assert Record.model_validate(make_record()).continued_from is None
