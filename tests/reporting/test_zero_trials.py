"""A trial that learnt nothing is named below its table, also where a median hides it."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from collected import collect_metrics
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.reporting.collect import write_metrics
from pointrend_repro.reporting.exports import to_markdown
from pointrend_repro.reporting.tables import MeasuredTable, measure_tables
from pointrend_repro.reporting.zero_trials import zero_trials

Fill = Callable[..., Path]
TableWith = Callable[[Mapping[tuple[str, int], float]], MeasuredTable]
ROWS = {"pointrend_28", "pointrend_224"}  # of the same trainings


@pytest.fixture
def table_with(paper: Grid, fill: Fill) -> TableWith:
    """Table 1 with other values of a metric and trial, in both rows of PointRend."""

    def table(values: Mapping[tuple[str, int], float]) -> MeasuredTable:
        results_dir = fill(paper)
        for (metric, trial), value in values.items():
            of = [e for cell in paper.cells if cell.row in ROWS for e in cell.evaluations]
            for path in {results_dir / e.path for e in of if e.metric == metric}:
                if f"/trial{trial}/" in str(path):
                    content = json.loads(path.read_text())
                    content["values"]["AP"] = value
                    path.write_text(json.dumps(content))
        write_metrics(paper, results_dir)
        (measured,) = measure_tables(paper, collect_metrics(paper, results_dir))
        return measured

    return table


def test_a_training_of_which_a_metric_has_only_zeros_is_named_once(
    paper: Grid, table_with: TableWith
) -> None:
    measured = table_with({("coco_ap", 2): 0.0, ("lvis_ap_star", 2): 0.0})
    (note,) = zero_trials(measured)
    rows = [row.title for name, row in measured.table.rows.items() if name in ROWS]
    assert note == (
        f"{'; '.join(rows)}: trial 2 has 0 in COCO AP and COCO AP*, unlike other trials. Its "
        "training may have failed; its losses are in coco/pointrend_r50_fpn/trial2/log.jsonl of "
        "the results."
    )
    assert "trial 2 has 0 in" in to_markdown(paper, measured)


def test_other_metrics_of_the_training_may_have_learnt(table_with: TableWith) -> None:
    """As boxes do where masks do not."""
    (note,) = zero_trials(table_with({("lvis_ap_star", 0): 0.0}))
    assert ": trial 0 has 0 in COCO AP*, unlike other trials." in note


@pytest.mark.parametrize("values", [{}, {0: 0.001}, {0: 0.0, 1: 0.0, 2: 0.0}])
def test_small_numbers_and_what_all_trials_have_are_no_failure(
    values: dict[int, float], table_with: TableWith
) -> None:
    assert zero_trials(table_with({("coco_ap", k): value for k, value in values.items()})) == []
