"""The verdict follows the rule, and every export says what the table file and the trials say."""

import csv
import functools
import io
import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_metrics import nasty, write_result

from collected import collect_metrics
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.experiments.nodes import Evaluation, Prediction, Training
from pointrend_repro.reporting.exports import to_csv, to_markdown
from pointrend_repro.reporting.latex import to_latex
from pointrend_repro.reporting.missing import why_absent
from pointrend_repro.reporting.tables import MeasuredTable, judge, measure_tables

Fill = Callable[..., Path]

# PointRend, Table 1, as printed.
TABLE_1 = """
4× conv 28×28 35.2 37.6 33.0
PointRend 28×28 36.1 (+0.9) 39.2 (+1.6) 35.5 (+2.5)
PointRend 224×224 36.3 (+1.1) 39.7 (+2.1) 35.8 (+2.8)
"""


def measure(grid: Grid, results_dir: Path) -> MeasuredTable:
    (table,) = measure_tables(grid, collect_metrics(grid, results_dir))
    return table


def read_csv(table: MeasuredTable) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(to_csv(table))))


def test_the_published_numbers_are_those_of_the_paper(paper: Grid, tmp_path: Path) -> None:
    printed = [
        [Decimal(n) for n in re.findall(r"(?<![+\d.])\d+\.\d", line)]
        for line in TABLE_1.strip().splitlines()
    ]
    gains = [Decimal(n) for n in re.findall(r"\+(\d\.\d)", TABLE_1)]
    numbers = [Decimal(row["paper"]) for row in read_csv(measure(paper, tmp_path))]
    assert numbers == [number for line in printed for number in line]
    baseline = numbers[:3] * 2
    assert [n - b for n, b in zip(numbers[3:], baseline, strict=True)] == gains


def test_csv_has_the_columns_and_titles_of_the_design(paper: Grid, fill: Fill) -> None:
    text = to_csv(measure(paper, fill(paper)))
    assert text.splitlines()[0] == "row,column,paper,measured,spread,trials,unit,status"
    first, *_, last = read_csv(measure(paper, fill(paper)))
    assert list(first.values()) == [
        "4x conv, 28x28", "COCO AP", "35.2", "35.2", "0.2", "3", "%", "reproduced",
    ]  # fmt: skip
    assert list(last.values()) == [
        "PointRend, 224x224", "Cityscapes AP", "35.8", "", "", "0", "%", "missing",
    ]  # fmt: skip


def test_csv_rounds_to_four_decimals(smoke: Grid, tmp_path: Path) -> None:
    for evaluation, value in zip(smoke.cells[0].evaluations, (100 / 3, 200 / 3), strict=True):
        write_result(tmp_path, smoke, evaluation, {"AP": value})
    row = read_csv(measure(smoke, tmp_path))[0]
    assert (row["measured"], row["spread"]) == ("50.0", "33.3333")


@settings(deadline=None)
@given(st.lists(st.floats(0, 100), min_size=2, max_size=7))
def test_median_and_spread_over_the_trials(values: list[float]) -> None:
    grid = grid_of_trials(len(values))
    files = [e.path for e in grid.evaluations]
    metrics = pd.DataFrame({"file": files, "key": "AP", "value": values})
    ((cell,),) = [table.cells.values() for table in measure_tables(grid, metrics)]
    ordered = sorted(values)
    half = len(ordered) // 2
    median = ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
    assert cell.measured == pytest.approx(median, abs=1e-12)
    assert cell.spread == ordered[-1] - ordered[0]
    assert cell.trials == cell.planned == len(values)


@functools.cache
def grid_of_trials(count: int) -> Grid:
    """The paper's first cell alone, with that many trials."""
    grid = load_grid("paper")
    cell = grid.cells[0]
    metric, inference = cell.evaluations[0].metric, cell.evaluations[0].prediction.inference
    trials = tuple(
        Evaluation(Prediction(Training("coco", "any", trial), inference), metric)
        for trial in range(count)
    )
    tables = {cell.table: grid.tables[cell.table]}
    return replace(grid, tables=tables, cells=(replace(cell, evaluations=trials),))


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(-50, 50), st.integers(1, 30))
def test_the_edge_of_the_tolerance_is_inside(paper: int, off: int, tolerance: int) -> None:
    # In tenths, where "exactly 0.2" means something; as floats 36.3 - 36.1 is not 0.2.
    status, _ = judge(
        [(paper + off) / 10],
        planned=1,
        paper=paper / 10,
        tolerance=tolerance / 10,
        claims=True,
    )
    assert status == ("reproduced" if abs(off) <= tolerance else "deviates")


def test_just_beyond_the_tolerance_deviates() -> None:
    rule = {"planned": 1, "paper": 36.1, "tolerance": 0.2, "claims": True}
    assert judge([36.3], **rule) == ("reproduced", "")
    assert judge([36.30001], **rule) == ("deviates", "")
    assert judge([35.89999], **rule) == ("deviates", "")


@pytest.mark.parametrize(
    ("numbers", "changes", "verdict"),
    [
        ([], {"claims": False}, ("missing", "not run yet")),
        ([36.1] * 3, {"claims": False}, ("no-claim", "this preset gives no verdicts")),
        ([36.1] * 3, {"paper": None}, ("no-claim", "the paper has no number here")),
        *(
            ([36.1] * 2, changes, ("no-claim", "2 of 3 trials measured"))
            for changes in ({}, {"claims": False}, {"paper": None}, {"tolerance": None})
        ),
        ([99.0, 36.1, 36.1], {}, ("reproduced", "")),
    ],
)
def test_where_there_is_no_verdict_there_is_a_reason(
    numbers: list[float], changes: dict, verdict: tuple[str, str]
) -> None:
    rule = {"planned": 3, "paper": 36.1, "tolerance": 0.2, "claims": True}
    assert judge(numbers, **rule | changes) == verdict


def test_missing_trials_are_counted_and_not_judged(paper: Grid, fill: Fill) -> None:
    gone = frozenset(e.path for e in paper.cells[0].evaluations[1:])
    cell = measure(paper, fill(paper, skip=gone)).cells["4conv_28", "coco_ap"]
    assert (cell.trials, cell.planned, cell.spread) == (1, 3, None)
    assert (cell.status, cell.reason) == ("no-claim", "1 of 3 trials measured")


def test_null_is_not_a_measured_zero(smoke: Grid, tmp_path: Path) -> None:
    for evaluation in smoke.cells[0].evaluations:
        write_result(tmp_path, smoke, evaluation, {"AP": None})
    cell = measure(smoke, tmp_path).cells["4conv_28", "coco_ap"]
    assert (cell.measured, cell.trials, cell.status) == (None, 0, "missing")
    assert cell.reason == "evaluated, but there was nothing to score"


def test_a_file_from_before_its_metric_had_a_key_is_a_missing_number(
    smoke: Grid, tmp_path: Path
) -> None:
    """The report goes on: nothing that other cells need is lost."""
    evaluation = smoke.cells[0].evaluations[0]
    write_result(tmp_path, smoke, evaluation, {"AP50": 1.0})
    cell = measure(smoke, tmp_path).cells["4conv_28", "coco_ap"]
    assert (cell.measured, cell.status) == (None, "missing")
    assert cell.reason == f"{evaluation.path} is older than AP and lacks it; evaluate again"


def test_a_preset_with_a_warning_gives_no_verdicts(smoke: Grid, fill: Fill) -> None:
    table = measure(smoke, fill(smoke))
    assert table.counts == {"reproduced": 0, "deviates": 0, "no-claim": 6, "missing": 3}
    assert smoke.preset.warning in to_markdown(smoke, table)
    assert smoke.preset.warning in to_latex(smoke, table)
    assert "Tolerance" not in to_markdown(smoke, table)


def test_no_tolerance_is_told_where_the_paper_has_no_number() -> None:
    grid = load_grid("paper")
    tables = {
        t.name: t for t in measure_tables(grid, pd.DataFrame(columns=["file", "key", "value"]))
    }
    text = to_markdown(grid, tables["table2"])
    told = re.findall(r"Tolerance for (.*?): ", text)
    assert told == ["FLOPs", r"\# activations"]
    assert "unused" not in text


def test_markdown_is_laid_out_as_in_the_paper(paper: Grid, fill: Fill) -> None:
    text = to_markdown(paper, measure(paper, fill(paper, offset=0.5)))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert rows[0] == r"|  | COCO AP \[%\] | COCO AP\* \[%\] | Cityscapes AP \[%\] |"
    assert rows[2] == (
        "| 4x conv, 28x28 | 35.7 (trials 35.6–35.8, paper 35.2) deviates "
        "| 38.1 (trials 38.0–38.2, paper 37.6) deviates "
        "| missing: not part of this preset (paper 33.0) |"
    )
    assert len(rows) == 5


def test_markdown_escapes_why_a_number_is_missing(paper: Grid, tmp_path: Path) -> None:
    log = tmp_path / paper.evaluations[0].prediction.training.folder / "train.log"
    log.parent.mkdir(parents=True)
    log.write_text("error: <b>`x`</b> | y\n")
    evaluation = paper.evaluations[0]
    before = paper.before(evaluation.prediction)
    absent = {evaluation: why_absent(evaluation, tmp_path, before, paper.kind_of)}
    (table,) = measure_tables(paper, collect_metrics(paper, tmp_path), absent)
    text = to_markdown(paper, table)
    assert r"trial 0: train failed: error: \<b\>\`x\`\</b\> \| y (paper 35.2)" in text


def test_markdown_escapes_its_specials(paper: Grid, tmp_path: Path) -> None:
    grid = nasty(paper)
    header = next(
        line
        for line in to_markdown(grid, measure(grid, tmp_path)).splitlines()
        if line.startswith("|")
    )
    assert len(re.findall(r"(?<!\\)\|", header)) == 5
    assert r"\<script\>" in header
    assert r"\[y\](z)" in header
