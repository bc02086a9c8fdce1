"""metrics.csv: one row a number, all of them, each with its origin; nothing damaged gets in."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from made_up_metrics import make_result, write_result

from collected import collect_metrics
from pointrend_repro.base.errors import UserError
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Cell, Evaluation, Prediction, Training
from pointrend_repro.reporting.collect import (
    COLUMNS,
    ORIGIN_COLUMNS,
    write_metrics,
)

Fill = Callable[..., Path]


def test_one_row_for_every_number_sorted(smoke: Grid, fill: Fill) -> None:
    metrics = collect_metrics(smoke, fill(smoke))
    assert len(metrics) == 3 * len(smoke.evaluations)
    order = metrics[["dataset", "variant", "trial", "inference", "metric", "key"]]
    pd.testing.assert_frame_equal(order, order.sort_values(list(order)))
    assert not metrics.duplicated(["file", "key"]).any()


def test_a_row_names_its_origin(smoke: Grid, tmp_path: Path) -> None:
    evaluation = smoke.evaluations[-1]
    write_result(tmp_path, smoke, evaluation, {"AP": 12.3}, git_commit=None, wall_s=7)
    (row,) = collect_metrics(smoke, tmp_path).to_dict("records")
    training = evaluation.prediction.training
    assert row["file"] == evaluation.path
    assert (row["dataset"], row["variant"]) == (training.dataset, training.variant)
    assert (row["trial"], row["seed"]) == (training.trial, training.trial)
    assert (row["key"], row["value"], row["unit"]) == ("AP", 12.3, "%")
    assert (row["train_wall_s"], row["train_peak_memory_mb"]) == (7.0, 812.3)
    assert (row["torch"], row["device"]) == ("2.11.0", "a device")
    assert pd.isna(row["git_commit"])


def test_the_commands_of_a_row_are_found_by_its_file(smoke: Grid, fill: Fill) -> None:
    folder = fill(smoke)
    write_metrics(smoke, folder)
    metrics, origins = (pd.read_csv(folder / name) for name in ("metrics.csv", "origins.csv"))
    assert list(origins.columns) == list(ORIGIN_COLUMNS)
    assert len(metrics.merge(origins, on="file", validate="many_to_one")) == len(metrics) > 0
    assert len(origins) == metrics["file"].nunique()
    for row in origins.to_dict("records"):
        recorded = json.loads((folder / row["file"]).read_text())["origin"]
        assert {step: row[f"{step}_command"] for step in ("train", "predict", "evaluate")} == {
            step: recorded[step]["command"] for step in ("train", "predict", "evaluate")
        }


def test_the_file_keeps_every_digit_and_every_null(smoke: Grid, tmp_path: Path) -> None:
    value = 100 / 3
    write_result(tmp_path, smoke, smoke.evaluations[0], {"AP": value, "APs": None})
    write_metrics(smoke, tmp_path)
    text = pd.read_csv(tmp_path / "metrics.csv", dtype=str, keep_default_na=False)
    assert list(text.columns) == list(COLUMNS)
    assert float(text["value"][0]) == value
    assert text["value"][1] == ""
    assert set(text["settings_digest"]) == {"123456789012"}
    assert set(text["code_digest"]) == {"12345e678901"}
    for name in ("metrics.csv", "origins.csv"):
        assert str(tmp_path) not in (tmp_path / name).read_text()


def test_the_file_is_the_frame(smoke: Grid, tmp_path: Path) -> None:
    awkward = {"AP": 1e-17, "AP50": 100 / 3, "APs": None, "APm": 5, 'a "quoted", key': 0.1}
    write_result(tmp_path, smoke, smoke.evaluations[0], awkward, git_commit=None)
    write_metrics(smoke, tmp_path)
    frame = collect_metrics(smoke, tmp_path)
    expected = frame.to_csv(index=False, lineterminator="\n")
    assert (tmp_path / "metrics.csv").read_text() == expected


def test_missing_files_are_left_out(smoke: Grid, tmp_path: Path) -> None:
    write_metrics(smoke, tmp_path)
    assert (tmp_path / "metrics.csv").read_text() == ",".join(COLUMNS) + "\n"
    assert (tmp_path / "origins.csv").read_text() == ",".join(ORIGIN_COLUMNS) + "\n"


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: text.replace('"AP": 1.5', '"AP": NaN'),
        lambda text: text.replace('"AP": 1.5', '"AP": "1.5"'),
        lambda text: text.replace('"AP": 1.5', '"AP": true'),
        lambda text: text.replace('"seed"', '"sead"'),
    ],
)
def test_a_damaged_file_is_named(smoke: Grid, tmp_path: Path, damage: Callable[[str], str]) -> None:
    path = write_result(tmp_path, smoke, smoke.evaluations[0], {"AP": 1.5})
    path.write_text(damage(path.read_text()))
    with pytest.raises(UserError) as caught:
        collect_metrics(smoke, tmp_path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["preset", "dataset", "variant", "trial", "inference"])
def test_a_result_of_another_experiment_is_refused(smoke: Grid, tmp_path: Path, key: str) -> None:
    result = make_result(smoke, smoke.evaluations[0], {"AP": 1.5})
    result["origin"][key] = 7 if key == "trial" else "other"
    path = tmp_path / smoke.evaluations[0].path
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(result))
    with pytest.raises(UserError, match="holds the result of"):
        collect_metrics(smoke, tmp_path)


@pytest.mark.timeout(120)  # seconds where time grows with the files, hours with their square
def test_thousands_of_files(smoke: Grid, tmp_path: Path) -> None:
    evaluations = tuple(
        Evaluation(
            Prediction(Training("generated_coco", "mask_rcnn_r50_fpn", trial), "default"), "coco_ap"
        )
        for trial in range(2000)
    )
    grid = replace(smoke, cells=(Cell("table1", "4conv_28", "coco_ap", evaluations),))
    for evaluation in evaluations:
        write_result(tmp_path, grid, evaluation, {"AP": 1.0, "AP50": 2.0})
    assert len(collect_metrics(grid, tmp_path)) == 4000


def test_collecting_does_not_import_pandas() -> None:
    code = "import sys, pointrend_repro.reporting.collect; print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_reporting_does_not_import_torch() -> None:
    code = "import sys, pointrend_repro.reporting.report; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
