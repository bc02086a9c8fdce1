"""Tables whose numbers are counted, and are therefore the same in every preset."""

import csv
import json
from dataclasses import replace

import pytest
from made_up_metrics import make_record

from pointrend_repro.base.files import write_json
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.reporting.collect import write_metrics
from pointrend_repro.reporting.report import write_report

COUNTS = {"multiply_adds": 0.53, "activations": 0.51}


@pytest.fixture
def grid():
    grid = load_grid("smoke")
    cells = tuple(cell for cell in grid.cells if cell.table == "table2")
    return replace(
        grid,
        preset=grid.preset.model_copy(update={"figures": []}),
        tables={"table2": grid.tables["table2"]},
        cells=cells,
    )


def write_count(results_dir, grid, cost, values):
    origin = {"preset": grid.name, "variant": cost.variant, "inference": cost.inference}
    write_json(
        results_dir / cost.path,
        {
            "metric": "mask_head_cost",
            "values": values,
            "units": {"multiply_adds": "B", "activations": "M"},
            "origin": origin | {"evaluate": make_record(seed=None, command="pointrend-repro cost")},
        },
    )


@pytest.fixture
def report(tmp_path, grid):
    """A report in which one head of four is counted."""
    cost = next(c for c in grid.costs if c.variant == "mask_rcnn_r50_fpn")
    write_count(tmp_path / "results", grid, cost, COUNTS)
    write_metrics(grid, tmp_path / "results")
    write_report(grid, tmp_path / "results", tmp_path / "reports")
    return tmp_path


def test_metrics_have_the_counts_own_units_and_no_training(report):
    with (report / "results/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(r["key"], float(r["value"]), r["unit"]) for r in rows] == [
        ("activations", 0.51, "M"),
        ("multiply_adds", 0.53, "B"),
    ]
    assert {(r["dataset"], r["trial"]) for r in rows} == {("", "")}
    with (report / "results/origins.csv").open() as file:
        (commands,) = csv.DictReader(file)
    assert {r["file"] for r in rows} == {commands["file"]}
    assert (commands["train_command"], commands["predict_command"]) == ("", "")
    assert commands["evaluate_command"] == "pointrend-repro cost"


def test_a_count_is_judged_in_smoke_too_by_the_papers_digits(report):
    with (report / "reports/tables/table2.csv").open() as file:
        rows = {(r["row"], r["column"]): r for r in csv.DictReader(file)}
    assert rows["4x conv, 28x28", "FLOPs"]["status"] == "reproduced"
    assert rows["4x conv, 28x28", "FLOPs"]["unit"] == "B"
    assert rows["4x conv, 28x28", "FLOPs"]["spread"] == ""
    assert rows["4x conv, 224x224", "FLOPs"]["status"] == "missing"
    assert rows["4x conv, 224x224", "FLOPs"]["paper"] == "34", "as printed"


def test_a_count_from_before_a_key_was_counted_lacks_that_number_alone(report):
    """`report` has files as older versions wrote them: with the two keys of the paper."""
    text = (report / "reports/summary.json").read_text()
    (table,) = json.loads(text)["tables"].values()
    cells = {(c["row"], c["column"]): c for c in table["cells"]}
    assert cells["4conv_28", "activations"]["status"] == "reproduced"
    older = cells["4conv_28", "activations_summed"]
    assert older["status"] == "missing"
    assert older["reason"] == (
        "cost/mask_rcnn_r50_fpn/default.json is older than activations_summed and lacks it; "
        "count again"
    )


@pytest.mark.parametrize(
    ("counted", "status"),
    [(0.4501, "reproduced"), (0.5499, "reproduced"), (0.4499, "deviates"), (0.5501, "deviates")],
)
def test_a_count_reproduces_what_it_rounds_to(tmp_path, grid, counted, status):
    cost = next(c for c in grid.costs if c.variant == "mask_rcnn_r50_fpn")
    write_count(tmp_path / "results", grid, cost, COUNTS | {"multiply_adds": counted})
    write_metrics(grid, tmp_path / "results")
    write_report(grid, tmp_path / "results", tmp_path / "reports")
    with (tmp_path / "reports/tables/table2.csv").open() as file:
        rows = {(r["row"], r["column"]): r for r in csv.DictReader(file)}
    assert rows["4x conv, 28x28", "FLOPs"]["status"] == status


def test_a_counted_table_bears_no_warning_and_leads_to_its_origin(report, grid):
    markdown = (report / "reports/tables/table2.md").read_text()
    assert grid.preset.warning not in markdown
    page = (report / "reports/index.html").read_text()
    assert 'href="#origin-table2-4conv_28-flops"' in page
    assert 'id="origin-table2-4conv_28-flops"' in page
    assert "pointrend-repro cost" in page
