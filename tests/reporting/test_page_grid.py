"""The page of the whole paper, filled with made-up metrics: of a size to open and to read."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from made_up_metrics import fill_whole_grid
from test_page import Page

from pointrend_repro.base.texts import script_json
from pointrend_repro.data.paths import UserData
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.reporting.collect import write_metrics
from pointrend_repro.reporting.report import write_report


@pytest.fixture(scope="module")
def grid() -> Grid:
    return load_grid("paper", user=UserData(lvis_annotations=Path("lvis.json")))


@pytest.fixture(scope="module")
def text(grid: Grid, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("paper")
    fill_whole_grid(folder / "results", grid)
    write_metrics(grid, folder / "results")
    write_report(grid, folder / "results", folder / "reports")
    return (folder / "reports/index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_the_page_is_small(text: str, page: Page) -> None:
    assert len(text.encode()) < 3e6  # without figures; with them it may have 15 MB
    assert len(page.tags) < 60_000


def test_every_cell_has_its_origin_once(grid: Grid, page: Page) -> None:
    links = [a["href"] for tag, a in page.tags if tag == "a" and a.get("class") == "measured"]
    assert len(links) == len(set(links)) == len(grid.cells)
    assert {link[1:] for link in links} <= set(page.attribute("id"))


def test_every_step_is_told_once(grid: Grid, page: Page) -> None:
    wanted = len(grid.trainings) + len(grid.predictions)
    wanted += len(grid.evaluations) + len(grid.costs)
    runs = [i for i in page.attribute("id") if i.startswith("run-")]
    assert len(runs) == len(set(runs)) == wanted
    for training in grid.trainings:
        assert page.words.count(f"--output results/paper/{training.folder}/model.safetensors") == 1


def test_every_set_of_settings_is_told_once(grid: Grid, page: Page) -> None:
    pairs = {(t.dataset, t.variant) for t in grid.trainings}
    trained = {grid.training_settings(*pair).model_dump_json() for pair in pairs}
    assert page.words.count('"backbone": {') == len(trained)


def test_headings_are_in_order(text: str) -> None:
    levels = [int(level) for level in re.findall(r"<h(\d)", text)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_gpu_hours_are_on_the_first_screen(grid: Grid, page: Page) -> None:
    trained = len(grid.trainings)
    seconds = sum(8 * (25_000 + training.trial) for training in grid.trainings)
    assert f"{trained} of {trained} trainings {seconds / 3600:,.0f} GPU-hours" in page.words
    assert "GPU-hours (of interrupted trainings the last part)" in page.words


def test_json_in_a_script_cannot_end_it() -> None:
    text = script_json({"</script><!--": "a & b \u2028"})
    assert text == r'{"\u003c/script\u003e\u003c!--":"a \u0026 b \u2028"}'
