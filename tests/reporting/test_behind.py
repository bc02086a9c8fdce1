"""What a number was built on besides its own steps: models that predict together, given boxes."""

import json
from pathlib import Path
from typing import Any

import pytest
from made_up_metrics import make_record, make_result, with_digests

from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.experiments.nodes import Evaluation
from pointrend_repro.reporting import settings_state
from pointrend_repro.reporting.behind import records_behind
from pointrend_repro.reporting.claims.measuring import _data
from pointrend_repro.reporting.code_state import TodaysCode
from pointrend_repro.reporting.conditions import gather_conditions
from pointrend_repro.reporting.results import load_results

USED, NEW = (f"sha256:{character * 64}" for character in "cd")


@pytest.fixture(scope="module")
def grid() -> Grid:
    return load_grid("smoke", papers=["3dfuture", "sharpmask"])


def put(folder: Path, path: str, step: str, digest: str) -> None:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({step: {"output_digest": digest}}))


def put_result(folder: Path, result: dict[str, Any], evaluation: Evaluation) -> None:
    path = folder / evaluation.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(with_digests(result)))


def pooled(grid: Grid, folder: Path, **of_members: Any) -> Evaluation:
    """A number of an ensemble, whose members' records say this."""
    evaluation = next(e for e in grid.evaluations if e.prediction.others)
    result = make_result(grid, evaluation, {"AP": 50.0})
    result["origin"]["predict"]["others"] = [
        {
            "file": other.model_path,
            "input_digest": USED,
            "origin": {
                "dataset": other.dataset,
                "variant": other.variant,
                "trial": other.trial,
                "train": make_record(**of_members),
            },
        }
        for other in evaluation.prediction.others
    ]
    put_result(folder, result, evaluation)
    return evaluation


def test_a_member_that_is_trained_anew_marks_the_ensemble(grid: Grid, tmp_path: Path) -> None:
    evaluation = pooled(grid, tmp_path)
    last = evaluation.prediction.others[-1]
    for digest, state in ((USED, "as made"), (NEW, "other model")):
        put(tmp_path, last.origin_path, "train", digest)
        assert load_results(grid, tmp_path)[evaluation].state == state


@pytest.mark.parametrize(("step", "split"), [("train", "train"), ("predict", "val")])
def test_boxes_that_are_predicted_anew_mark_what_they_were_given_to(
    grid: Grid, tmp_path: Path, step: str, split: Any
) -> None:
    evaluation = next(
        e for e in grid.evaluations if grid.boxes_of(e.prediction.training, split) is not None
    )
    boxes = grid.boxes_of(evaluation.prediction.training, split)
    assert boxes is not None
    result = make_result(grid, evaluation, {"AP": 50.0})
    result["origin"][step]["proposals_from"] = {"file": "boxes.json", "input_digest": USED}
    put_result(tmp_path, result, evaluation)
    for digest, state in ((USED, "as made"), (NEW, "other boxes")):
        put(tmp_path, boxes.origin_path(grid.kind_of(boxes)), "predict", digest)
        assert load_results(grid, tmp_path)[evaluation].state == state


def test_conditions_and_claims_look_at_members_too(grid: Grid, tmp_path: Path) -> None:
    read = {"part": "train", "fingerprint": "0ld"}
    evaluation = pooled(grid, tmp_path, device="another", code_digest="0ld", data=read)
    results = load_results(grid, tmp_path)
    members = evaluation.prediction.others
    assert len(records_behind(results[evaluation].origin)) == 3 + len(members)
    conditions = gather_conditions(grid, results, TodaysCode())
    assert {"another", "a device"} == set(conditions.devices)
    assert "0ld" in conditions.other_codes
    assert (members[0].dataset, "train", "0ld") in set(_data([results[evaluation]]))


def test_a_members_settings_count(grid: Grid, tmp_path: Path) -> None:
    evaluation = next(e for e in grid.evaluations if e.prediction.others)
    training, inference = evaluation.prediction.training, evaluation.prediction.inference

    def said(folder: Path, **of_members: Any) -> str:
        pooled(grid, folder, **of_members)
        content = json.loads((folder / evaluation.path).read_text())
        today = grid.training_settings(training.dataset, training.variant)
        content["origin"]["train"]["settings"] = today.model_dump(mode="json")
        content["origin"]["predict"]["settings"] = grid.inference_settings(
            training.variant, inference
        ).model_dump(mode="json")
        for place, other in enumerate(evaluation.prediction.others):
            record = content["origin"]["predict"]["others"][place]["origin"]["train"]
            record["settings_digest"] = f"{place}"
            if not of_members:
                settings = grid.training_settings(other.dataset, other.variant)
                record["settings"] = settings.model_dump(mode="json")
        (folder / evaluation.path).write_text(json.dumps(content))
        return settings_state.in_words(grid, load_results(grid, folder))

    assert said(tmp_path / "same") == "as the preset has them today"
    assert said(tmp_path / "other", settings={"lr": 1}).startswith("not today's: 1 of 1 result")


def test_a_file_of_weights_of_another_preset_is_not_compared(grid: Grid, tmp_path: Path) -> None:
    """As `weights=` of a fine-tuning may name: its data set or settings are not of this grid."""
    evaluation = next(
        e
        for e in grid.evaluations
        if grid.source_of(e.prediction.training) is None and not e.prediction.others
    )
    training = evaluation.prediction.training
    result = make_result(grid, evaluation, {"AP": 50.0})
    today = grid.training_settings(training.dataset, training.variant)
    asked = grid.inference_settings(training.variant, evaluation.prediction.inference)
    result["origin"]["train"]["settings"] = today.model_dump(mode="json")
    result["origin"]["predict"]["settings"] = asked.model_dump(mode="json")
    for dataset in ("elsewhere", training.dataset):
        source = {"dataset": dataset, "variant": training.variant, "trial": training.trial}
        result["origin"]["train"]["started_from"] = {
            "file": "results/other/model.safetensors",
            "input_digest": USED,
            "origin": source | {"train": make_record(settings_digest="f" * 12)},
        }
        put_result(tmp_path, result, evaluation)
        said = settings_state.in_words(grid, load_results(grid, tmp_path))
        assert said == "as the preset has them today"
