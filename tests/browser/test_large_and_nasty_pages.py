"""The page of the paper's whole grid, and one whose names are commands to a browser."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from devtools import Browser
from made_up_report import write_made_up_report
from pages import Page

from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.experiments.nodes import Cell, Cost, Evaluation

EVIL = "<script>pwned = 1</script>\"'><img src=x onerror='pwned = 1'>&lt;script>"
FOLDER = "<script>pwned = 1<script>"  # a variant is a folder's name, too: it has no slash
SIZE_OF_PICTURES = "document.querySelector('[aria-labelledby=pictures]').outerHTML.length"


@pytest.fixture(scope="module")
def paper_page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_made_up_report(tmp_path_factory.mktemp("paper"), load_grid("paper"))


def test_the_papers_whole_grid_is_a_page_that_works(page: Page, paper_page: Path) -> None:
    assert paper_page.stat().st_size < 15e6
    page.open(paper_page)
    assert page.evaluate(SIZE_OF_PICTURES) < 3e6
    assert page.evaluate("document.querySelectorAll('.plot .total').length") == 104
    page.click("a.measured")
    assert page.evaluate("document.querySelector('dialog').open")
    page.press("Escape")
    page.click(".stepper [data-move='1']")
    assert page.evaluate("document.querySelector('.steps > li:nth-child(2)').checkVisibility()")
    assert page.complaints() == []
    assert page.requests() == [paper_page.as_uri()]


def test_names_that_are_scripts_do_nothing(page: Page, tmp_path: Path) -> None:
    path = write_made_up_report(tmp_path, nasty(load_grid("smoke")), lines_a_log=5, name=EVIL)
    page.open(path)
    assert path.read_text(encoding="utf-8").count("pwned") > 100
    for link in ("a.measured", "a.measured[href*=pointrend]"):
        page.click(link)
        assert "pwned" in page.evaluate("document.querySelector('dialog').textContent")
        page.press("Escape")
    page.click(".stepper [data-move='1']")
    page.focus(".compare input")
    page.press("End")
    assert page.evaluate("typeof pwned") == "undefined"
    kinds = "[...document.scripts].filter(s => s.type !== 'application/json').length"
    assert page.evaluate(kinds) == 1
    assert page.evaluate("document.querySelectorAll('img[src=x], [onerror]').length") == 0
    assert page.complaints() == []
    assert page.requests() == [path.as_uri()]


def nasty(grid: Grid) -> Grid:
    """Table 1 and 2 of a preset, with names that are scripts wherever one can stand."""

    def renamed(model: Any, *fields: str) -> Any:
        return model.model_copy(update=dict.fromkeys(fields, EVIL))

    tables = {}
    for name in ("table1", "table2"):
        table = grid.tables[name]
        rows = {
            key: renamed(row, "title").model_copy(update={"variant": f"{row.variant}{FOLDER}"})
            for key, row in table.rows.items()
        }
        columns = {k: renamed(c, "title", "tolerance_source") for k, c in table.columns.items()}
        changed = renamed(table, "title", "caption", "source")
        tables[name] = changed.model_copy(update={"rows": rows, "columns": columns})
    return replace(
        grid,
        preset=renamed(grid.preset, "title", "warning"),
        tables=tables,
        variants={f"{k}{FOLDER}": renamed(v, "title") for k, v in grid.variants.items()},
        variant_files={f"{k}{FOLDER}": file for k, file in grid.variant_files.items()},
        trained_by={f"{k}{FOLDER}": paper for k, paper in grid.trained_by.items()},
        datasets={key: renamed(dataset, "title") for key, dataset in grid.datasets.items()},
        cells=tuple(_renamed_cell(cell) for cell in grid.cells if cell.table in tables),
    )


def _renamed_cell(cell: Cell) -> Cell:
    evaluations: list[Evaluation | Cost] = []
    for source in cell.evaluations:
        if isinstance(source, Cost):
            evaluations.append(replace(source, variant=f"{source.variant}{FOLDER}"))
            continue
        training = source.prediction.training
        training = replace(training, variant=f"{training.variant}{FOLDER}")
        prediction = replace(source.prediction, training=training)
        evaluations.append(replace(source, prediction=prediction))
    return replace(cell, evaluations=tuple(evaluations))
