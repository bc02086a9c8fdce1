"""Rows of other people's methods: their numbers are printed, nothing runs and nothing is judged."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
import yaml
from made_up_metrics import fill_whole_grid
from pydantic import ValidationError

from collected import collect_metrics
from config_files import read_config
from made_up_paper import NAME, claim, column, config_with_paper, rows, write
from pointrend_repro.base.errors import UserError
from pointrend_repro.config.tables import Table
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.reporting.claims.judging import judge_claims
from pointrend_repro.reporting.claims.schema import load_claims
from pointrend_repro.reporting.collect import write_metrics
from pointrend_repro.reporting.comparison.comparing import compare
from pointrend_repro.reporting.comparison.reading import read_sides
from pointrend_repro.reporting.exports import to_csv, to_markdown
from pointrend_repro.reporting.latex import to_latex
from pointrend_repro.reporting.report import write_report
from pointrend_repro.reporting.results import load_results
from pointrend_repro.reporting.tables import MeasuredTable, measure_tables

TABLE = f"{NAME}_table1"
WHOSE = "Old et al., their Table 2"


@pytest.fixture
def config_dir(tmp_path: Path) -> Path:
    return config_with_paper(tmp_path / "config")


@pytest.fixture
def grid(config_dir: Path) -> Grid:
    return load_grid("paper", config_dir, papers=[NAME])


@pytest.fixture
def results(grid: Grid, tmp_path: Path) -> Path:
    fill_whole_grid(tmp_path / "results", grid)
    write_metrics(grid, tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def measured(grid: Grid, results: Path) -> MeasuredTable:
    (table,) = measure_tables(grid, collect_metrics(grid, results))
    return table


def test_it_runs_nothing(grid: Grid) -> None:
    cells = {cell.row: cell for cell in grid.cells}
    assert cells["own"].evaluations
    assert cells["old"].evaluations == ()
    assert len(grid.trainings) == 6, "three of each of the two rows that run"


def test_it_gets_no_verdict(measured: MeasuredTable) -> None:
    cell = measured.cells["old", "coco_ap"]
    assert (cell.paper, cell.measured, cell.status) == (41.0, None, "no-claim")
    assert cell.reason == f"printed, not measured: {WHOSE}"
    assert measured.cells["own", "coco_ap"].status == "reproduced"


def test_it_is_shown_everywhere(grid: Grid, measured: MeasuredTable) -> None:
    row = list(csv.DictReader(io.StringIO(to_csv(measured))))[-1]
    assert (row["row"], row["paper"], row["measured"], row["trials"]) == ("Old", "41.0", "", "0")
    assert row["status"] == "no-claim"
    markdown = to_markdown(grid, measured)
    assert "| Old | 41 (printed) |" in markdown.replace("41.0", "41")
    assert f"Printed, not measured: Old ({WHOSE})." in markdown
    latex = to_latex(grid, measured)
    assert r"Old & (41.0) \\" in latex.replace("(41)", "(41.0)")
    assert f"Printed, not measured: Old ({WHOSE})." in latex
    assert r"\caption{Made-Up, Table 1: Ours." in latex


def test_the_page_has_the_papers_title_and_the_printed_number(
    grid: Grid, results: Path, tmp_path: Path
) -> None:
    write_report(grid, results, tmp_path / "reports")
    page = (tmp_path / "reports/index.html").read_text()
    assert "<title>Made-Up, reproduced: preset paper</title>" in page
    assert "<h1>Made up &amp; &lt;done&gt;</h1>" in page
    assert "N. Obody." in page
    assert "PointRend: Image Segmentation as Rendering" not in page
    assert f"<small>{WHOSE}</small>" in page
    assert "<i>printed</i> 41" in page
    assert (tmp_path / f"reports/tables/{TABLE}.csv").exists()


def test_results_of_any_paper_can_be_compared(config_dir: Path, results: Path) -> None:
    """And not only of those that the preset names."""
    found = compare(*read_sides(results, results, config_dir))
    assert [(cell.table, cell.a.cell.row) for cell in found.cells if NAME in cell.table] == [
        (TABLE, "own"),
        (TABLE, "theirs"),
    ]
    assert found.agrees


def test_a_claim_about_it_is_refused(config_dir: Path) -> None:
    write(config_dir / f"papers/{NAME}/claims.yaml", {"best": claim("own", "old")})
    with pytest.raises(
        UserError, match="row 'old' of table 'made_up_table1' has published numbers"
    ):
        load_claims(config_dir, [NAME])


def test_the_papers_claims_are_judged(grid: Grid, config_dir: Path, results: Path) -> None:
    judged = judge_claims(grid, load_claims(config_dir, [NAME]), load_results(grid, results))
    assert [(c.name, c.table) for c in judged] == [(f"{NAME}_best", TABLE)]
    assert [cell.row for cell in judged[0].parts[0].cells] == ["own", "theirs"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"variant": "pointrend_r50_fpn"}, "variant and inference go together"),
        ({"numbers_of": None}, "says either a variant and its inference, or numbers_of"),
        ({"variant": "a", "inference": "b"}, "says either a variant and its inference, or"),
        ({"paper": {}}, "has neither a variant nor printed numbers"),
    ],
)
def test_a_row_runs_or_is_printed(changes: dict[str, Any], told: str) -> None:
    table = read_config("tables/table1") | {"columns": {"coco_ap": column()}}
    table["rows"] = {"old": rows()["old"] | changes}
    table["stub_headings"] = []
    with pytest.raises(ValidationError, match=told):
        Table.model_validate(table)


def test_what_a_model_does_not_predict_is_no_missing_number(config_dir: Path) -> None:
    """As masks of Faster R-CNN, beside columns that it does fill."""
    folder = config_dir / "papers" / NAME
    model = read_config("variants/mask_rcnn_r50_fpn")
    model["model"]["mask_head"] = {"kind": "none"}
    write(folder / "models/boxes.yaml", model | {"title": "Boxes"})
    row = {"title": "Boxes", "variant": "boxes", "inference": "default", "paper": {}}
    box = column() | {"title": "box AP", "metric": "coco_box_ap"}
    content = yaml.safe_load((folder / "tables/table1.yaml").read_text())
    content["rows"] = {"boxes": row, **content["rows"]}
    content["columns"]["box_ap"] = box
    write(folder / "tables/table1.yaml", content)
    grid = load_grid("paper", config_dir, papers=[NAME])
    cells = {(cell.row, cell.column): cell for cell in grid.cells}
    assert len(cells["boxes", "box_ap"].evaluations) == 3
    assert cells["boxes", "coco_ap"].evaluations == ()
    (table,) = measure_tables(grid, collect_metrics(grid, config_dir))
    found = table.cells["boxes", "coco_ap"]
    assert (found.status, found.reason) == ("no-claim", "the model predicts no masks")
    assert table.cells["boxes", "box_ap"].status == "missing"
    line = next(li for li in to_markdown(grid, table).splitlines() if li.startswith("| Boxes"))
    assert line == "| Boxes | – | missing: not run yet (no number in the paper) |"
