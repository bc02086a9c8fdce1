"""A report about one's own data: no paper in it, and the best is marked where trials say so."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from made_up_metrics import make_result, with_digests

from collected import collect_metrics
from pointrend_repro.base.files import write_json
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Cell, Evaluation
from pointrend_repro.reporting.best import NONE, RULE, best_cells
from pointrend_repro.reporting.collect import write_metrics
from pointrend_repro.reporting.exports import to_markdown
from pointrend_repro.reporting.report import write_report
from pointrend_repro.reporting.tables import MeasuredTable, measure_tables

Fill = Callable[..., Path]
BEST = {("pointrend_224", "coco_ap"), ("pointrend_224", "coco_ap_star")}


def unpublished(grid: Grid) -> Grid:
    """The same grid, of which no paper has a number."""
    tables = {
        name: table.model_copy(
            update={"rows": {k: r.model_copy(update={"paper": {}}) for k, r in table.rows.items()}}
        )
        for name, table in grid.tables.items()
    }
    return replace(grid, tables=tables)


def table_of(grid: Grid, results_dir: Path) -> MeasuredTable:
    (table,) = measure_tables(grid, collect_metrics(grid, results_dir))
    return table


def change(results_dir: Path, grid: Grid, row: str, trial: int, by: float) -> None:
    for cell in grid.cells:
        if cell.row == row and len(cell.evaluations) > trial:
            path = results_dir / cell.evaluations[trial].path
            content = json.loads(path.read_text())
            content["values"]["AP"] += by
            path.write_text(json.dumps(content))
    write_metrics(grid, results_dir)


def test_the_best_is_where_every_trial_says_so(paper: Grid, fill: Fill) -> None:
    """Trials lie 0.1 around 36.1 and 36.3 of one training, so the ranges of these two meet."""
    grid, results_dir = unpublished(paper), fill(paper)
    assert best_cells(table_of(grid, results_dir)) == BEST
    change(results_dir, grid, "pointrend_224", 2, -0.3)  # now below the other resolution's
    assert best_cells(table_of(grid, results_dir)) == {("pointrend_224", "coco_ap_star")}


def test_other_trainings_must_be_apart(paper: Grid, fill: Fill) -> None:
    grid, results_dir = unpublished(paper), fill(paper)
    change(results_dir, grid, "4conv_28", 0, 1.2)  # 36.3 of one trial, above the lowest 36.2
    assert best_cells(table_of(grid, results_dir)) == {("pointrend_224", "coco_ap_star")}


def test_two_trials_say_nothing(paper: Grid, fill: Fill) -> None:
    grid = unpublished(paper)
    fewer = replace(
        grid, cells=tuple(replace(c, evaluations=c.evaluations[:2]) for c in grid.cells)
    )
    assert best_cells(table_of(fewer, fill(paper))) == set()


def test_a_missing_trial_says_nothing(paper: Grid, fill: Fill) -> None:
    gone = frozenset({paper.cells[0].evaluations[0].path})
    found = best_cells(table_of(unpublished(paper), fill(paper, skip=gone)))
    assert found == BEST - {("pointrend_224", paper.cells[0].column)}


def test_the_table_is_about_the_data(paper: Grid, fill: Fill) -> None:
    grid, results_dir = unpublished(paper), fill(paper)
    text = to_markdown(grid, table_of(grid, results_dir))
    assert "| PointRend, 224x224 | **★** 36.3 (trials 36.2–36.4) | **★** 39.7" in text
    assert RULE in text
    text = text.replace("Data of preset paper", "")
    for word in ("paper", "no-claim", "not judged", "Tolerance", "unused"):
        assert word not in text.partition("| --- |")[2], word
    assert NONE in to_markdown(grid, table_of(grid, results_dir.parent / "nowhere"))


def test_each_class_is_told_worst_first(paper: Grid, fill: Fill, tmp_path: Path) -> None:
    grid, results_dir = unpublished(paper), fill(paper)
    for cell in grid.cells:
        for trial, evaluation in enumerate(cell.evaluations):
            path = results_dir / evaluation.path
            content = json.loads(path.read_text())
            content["by_class"] = {"dog": 61.0 + trial, "nut": 12.5, "<b>": None}
            path.write_text(json.dumps(content))
    write_metrics(grid, results_dir)
    write_report(grid, results_dir, tmp_path / "reports" / "paper")
    page = (tmp_path / "reports" / "paper" / "index.html").read_text()
    assert 'id="classes-coco_ap"' in page
    assert re.findall(r'<th scope="row">(nut|dog|&lt;b&gt;)</th>', page)[:3] == [
        "nut",
        "dog",
        "&lt;b&gt;",
    ]
    assert "<td>62.0 <small>61.0–63.0</small></td>" in page
    # Of a paper's table nobody asks that.
    write_report(paper, results_dir, tmp_path / "reports" / "paper")
    assert "classes-coco_ap" not in (tmp_path / "reports" / "paper" / "index.html").read_text()


def test_classes_are_called_by_the_value_that_is_told_of_them(
    paper: Grid, fill: Fill, tmp_path: Path
) -> None:
    """The first of the metric, AP, whichever column comes first; and one table a data set."""
    grid, results_dir = unpublished(paper), fill(paper)
    table = grid.tables["table1"]
    ap = table.columns["coco_ap"]
    columns = {"coco_ap": ap.model_copy(update={"title": "AP50 <i>", "value": "AP50"})}
    columns["cityscapes_ap"] = ap.model_copy(update={"title": "AP there", "dataset": "cityscapes"})
    grid = replace(
        grid,
        tables={"table1": table.model_copy(update={"columns": columns})},
        cells=tuple(
            each
            for cell in grid.cells
            if cell.column == "coco_ap"
            for each in (cell, _on_cityscapes(cell))
        ),
    )
    for evaluation in grid.evaluations:
        result = make_result(grid, evaluation, {"AP": 30.0, "AP50": 50.0})
        write_json(
            results_dir / evaluation.path, with_digests(result | {"by_class": {"dog": 30.0}})
        )
    edited = results_dir / grid.cells[0].evaluations[0].path
    edited.write_text(edited.read_text().replace('"dog": 30.0', '"dog": 90.0'))
    write_metrics(grid, results_dir)
    write_report(grid, results_dir, tmp_path / "reports" / "paper")
    page = (tmp_path / "reports" / "paper" / "index.html").read_text()
    titles = re.findall(r'<caption class="hidden">(.*) of each class', page)
    assert titles == ["AP", "AP there"]
    marked = page.partition('id="classes-coco_ap"')[2].partition("</thead>")[0]
    assert marked.count('<small class="altered">edited since it was scored</small>') == 1


def _on_cityscapes(cell: Cell) -> Cell:
    evaluations = []
    for e in cell.evaluations:
        assert isinstance(e, Evaluation)
        training = replace(e.prediction.training, dataset="cityscapes")
        evaluations.append(replace(e, prediction=replace(e.prediction, training=training)))
    return replace(cell, column="cityscapes_ap", evaluations=tuple(evaluations))


def test_the_page_is_about_the_data(paper: Grid, fill: Fill, tmp_path: Path) -> None:
    grid, results_dir = unpublished(paper), fill(paper)
    write_report(grid, results_dir, tmp_path / "reports" / "paper")
    page = (tmp_path / "reports" / "paper" / "index.html").read_text()
    assert "Report on your data" in page
    assert "Which model is best on Cityscapes, instances of gtFine and COCO 2017?" in page
    for words in ("Reproduction report", "Kirillov", "not judged", "reproduced", "<i>paper</i>"):
        assert words not in page.partition("</style>")[2].partition('id="origins"')[0], words
    assert page.count('class="status best"') == 2
