"""AP against cost joins counts, scores and times of the same models, and of no others."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_up_metrics import make_record, make_result, with_digests

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json, write_json
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.experiments.nodes import Cost
from pointrend_repro.reporting.collect import metrics_frame, write_metrics
from pointrend_repro.reporting.pictures.costs import Costs, Head, lay_out_costs
from pointrend_repro.reporting.report import write_report
from pointrend_repro.reporting.results import load_results
from pointrend_repro.reporting.tables import measure_tables

COUNTS = {"mask_rcnn_r50_fpn": 0.53, "pointrend_r50_fpn": 0.92, "mask_rcnn_224_r50_fpn": 33.9}


@pytest.fixture
def grid() -> Grid:
    grid = load_grid("paper")
    tables = {name: grid.tables[name] for name in ("table1", "table2")}
    return replace(grid, tables=tables, cells=tuple(c for c in grid.cells if c.table in tables))


def fill(grid: Grid, results_dir: Path) -> None:
    for cost in grid.costs:
        if cost.variant not in COUNTS or cost.inference == "res28":
            continue
        origin = {"preset": grid.name, "variant": cost.variant, "inference": cost.inference}
        values = {"multiply_adds": COUNTS[cost.variant], "activations": 0.5}
        record = make_record(seed=None)
        write_json(
            results_dir / cost.path,
            {
                "metric": "mask_head_cost",
                "values": values,
                "origin": {**origin, "evaluate": record},
            },
        )
    for evaluation in grid.evaluations:
        if evaluation.metric != "coco_ap":
            continue
        training = evaluation.prediction.training
        ap = (36.3 if "pointrend" in training.variant else 35.2) + 0.1 * (training.trial - 1)
        result = make_result(grid, evaluation, {"AP": ap})
        of_pointrend = 200 if evaluation.prediction.inference == "res224" else 100
        result["origin"]["predict"]["wall_s"] = of_pointrend * (1.0 + training.trial)
        write_json(results_dir / evaluation.path, result)
    write_json(results_dir / "coco" / "dataset.json", {"val": {"images": 1000}})


def lay_out(grid: Grid, results_dir: Path) -> Costs:
    results = load_results(grid, results_dir)
    tables = measure_tables(grid, metrics_frame(results), {})
    return lay_out_costs(grid, tables, results, results_dir)


def heads(costs: Costs) -> dict[str, Head]:
    return {head.title: head for head in costs.heads}


def test_counts_scores_and_times_are_of_the_same_model(grid: Grid, tmp_path: Path) -> None:
    fill(grid, tmp_path)
    found = heads(lay_out(grid, tmp_path))
    assert list(found) == [row.title for row in grid.tables["table2"].rows.values()]
    pointrend = found["PointRend, 224x224"]
    assert pointrend.count.measured == 0.92
    assert pointrend.ap is not None
    assert pointrend.ap.measured == pytest.approx(36.3)
    assert pointrend.seconds == pytest.approx(0.4)  # 200, 400 and 600 s for 1000 images
    assert pointrend.times == pytest.approx((0.2, 0.4, 0.6))
    assert (pointrend.images, pointrend.devices) == (1000, ("a device",))
    assert pointrend.is_pointrend
    assert not found["4x conv, 28x28"].is_pointrend
    assert found["4x conv, 28x28"].seconds == pytest.approx(0.2)
    other = found["PointRend, 28x28"]  # scored, but not counted
    assert other.count.measured is None
    assert other.ap is not None
    counted = found["4x conv, 224x224"]  # counted, but never trained
    assert (counted.ap, counted.seconds, counted.images) == (None, None, None)


@pytest.mark.parametrize(
    ("of_first_trial", "seconds"),
    [
        ({}, 0.4),
        ({"timing": {"images": 1000}}, 0.4),
        ({"timing": {"images": 2000}, "others": [{"file": "other.safetensors"}]}, 0.4),  # by two
        ({"timing": {"images": 360}}, 0.5),  # the others were finished before it was stopped
        ({"timing": {"images": 1640}, "others": [{"file": "other.safetensors"}]}, 0.5),
        ({"timing": {"images": 1000}, "world_size": 2}, 0.5),
    ],
)
def test_times_are_of_predictions_of_one_process_in_one_run(
    grid: Grid, tmp_path: Path, of_first_trial: dict[str, Any], seconds: float
) -> None:
    fill(grid, tmp_path)
    for evaluation in grid.evaluations:
        path = tmp_path / evaluation.path
        if evaluation.metric == "coco_ap" and evaluation.prediction.training.trial == 0:
            content = read_json(path)
            content["origin"]["predict"] |= of_first_trial
            write_json(path, content)
    assert heads(lay_out(grid, tmp_path))["PointRend, 224x224"].seconds == pytest.approx(seconds)


def test_without_such_a_prediction_there_is_no_time(grid: Grid, tmp_path: Path) -> None:
    fill(grid, tmp_path)
    for path in tmp_path.rglob("coco_ap.json"):
        content = read_json(path)
        content["origin"]["predict"]["timing"] = {"images": 16}
        write_json(path, content)
    costs = lay_out(grid, tmp_path)
    assert [plot.name for plot in costs.plots] == ["operations"]
    assert {(head.seconds, head.devices) for head in costs.heads} == {(None, ())}


def test_plots_show_what_has_both(grid: Grid, tmp_path: Path) -> None:
    fill(grid, tmp_path)
    operations, time = lay_out(grid, tmp_path).plots
    assert [p.title for p in operations.points] == ["4x conv, 28x28", "PointRend, 224x224"]
    left, right = operations.points
    assert left.x < right.x
    assert left.y > right.y  # a better AP is farther up
    for point in operations.points:
        assert point.ends[1] < point.y < point.ends[0]  # the trials around their median
    assert "PointRend, 224x224: AP 36.3 at 0.92" in operations.description
    assert all(point.reach == (point.x, point.x) for point in operations.points)
    assert all(point.reach[0] < point.x < point.reach[1] < 696 for point in time.points)
    titles = {p.title for p in time.points}
    assert {"4x conv, 28x28", "4x conv, 56x56", "PointRend, 28x28"} < titles
    assert "4x conv, 224x224" not in titles


def test_what_is_not_measured_is_not_drawn(grid: Grid, tmp_path: Path) -> None:
    costs = lay_out(grid, tmp_path)
    assert costs.plots == []
    assert all(head.ap is None for head in costs.heads)
    fill(grid, tmp_path)
    (tmp_path / "coco" / "dataset.json").unlink()
    costs = lay_out(grid, tmp_path)
    assert [plot.name for plot in costs.plots] == ["operations"]
    assert all(head.seconds is None for head in costs.heads)


def test_a_damaged_record_of_the_data_is_named(grid: Grid, tmp_path: Path) -> None:
    fill(grid, tmp_path)
    write_json(tmp_path / "coco" / "dataset.json", {"val": []})
    with pytest.raises(UserError, match=r"dataset\.json: not the record of a data set"):
        lay_out(grid, tmp_path)


@pytest.mark.parametrize("preset", ["smoke", "tiny", "paper"])
def test_every_head_of_table_1_is_counted_in_every_preset(preset: str) -> None:
    grid = load_grid(preset)
    counted = {(cost.variant, cost.inference) for cost in grid.costs}
    rows = grid.tables["table1"].rows.values()
    assert {(row.variant, row.inference) for row in rows} <= counted
    assert all(isinstance(cost, Cost) for cost in grid.costs)


def test_counts_at_other_widths_than_those_that_are_trained_are_told(tmp_path: Path) -> None:
    """Table 2 is counted at the paper's widths, and `mini` trains heads of 32 channels."""
    for preset in ("paper", "mini"):
        whole = load_grid(preset)
        tables = {name: whole.tables[name] for name in ("table1", "table2")}
        cells = tuple(c for c in whole.cells if c.table in tables)
        preset_ = whole.preset.model_copy(update={"figures": [], "pictures": ["costs"]})
        grid = replace(whole, tables=tables, cells=cells, preset=preset_)
        folder = tmp_path / preset
        fill(grid, folder)
        costs = lay_out(grid, folder)
        is_other = preset == "mini"
        assert costs.has_other_widths == is_other
        assert heads(costs)["PointRend, 224x224"].has_other_widths == is_other
        assert not heads(costs)["4x conv, 224x224"].has_other_widths  # never trained
        operations = costs.plots[0]
        assert ("at the paper's widths" in operations.x_title) == is_other
        assert ("of other widths" in operations.description) == is_other
        write_metrics(grid, folder)
        write_report(grid, folder, folder / "reports")
        page = (folder / "reports/index.html").read_text()
        assert ("AP and time are of heads of other widths" in page) == is_other
        assert ("<small>B<br>at the paper's widths</small>" in page) == is_other


def test_an_edited_number_is_marked(grid: Grid, tmp_path: Path) -> None:
    results_dir = tmp_path / "results/paper"
    fill(grid, results_dir)
    path = next(results_dir.glob("coco/pointrend_r50_fpn/trial0/res224/coco_ap.json"))
    content = with_digests(read_json(path))
    content["values"]["AP"] = 99.0
    write_json(path, content)
    write_metrics(grid, results_dir)
    write_report(grid, results_dir, tmp_path / "reports/paper")
    page = (tmp_path / "reports/paper/index.html").read_text()
    table = page.partition('aria-label="AP against cost, in numbers"')[2].partition("</table>")[0]
    assert table.count('<small class="altered">edited since it was scored</small>') == 1
