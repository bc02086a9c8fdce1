"""Each of several papers has a page, and the first page leads to them."""

import json
from pathlib import Path

import pytest
from made_up_metrics import fill_whole_grid
from test_page import Page

from made_up_paper import NAME, config_with_paper
from pointrend_repro.config.papers import list_papers
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.reporting.claims.files import write_claims
from pointrend_repro.reporting.claims.judging import judge_claims
from pointrend_repro.reporting.claims.schema import load_claims
from pointrend_repro.reporting.collect import write_metrics
from pointrend_repro.reporting.report import write_report
from pointrend_repro.reporting.results import load_results

PAPERS = ["pointrend", NAME]


@pytest.fixture(scope="module")
def config_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return config_with_paper(tmp_path_factory.mktemp("papers") / "config")


@pytest.fixture(scope="module")
def grid(config_dir: Path) -> Grid:
    return load_grid("smoke", config_dir, papers=PAPERS)


@pytest.fixture(scope="module")
def folder(grid: Grid, config_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of both papers with judged claims, and the report of them."""
    folder = tmp_path_factory.mktemp("two")
    results = folder / "results"
    fill_whole_grid(results, grid)
    write_metrics(grid, results)
    claims = load_claims(config_dir, PAPERS)
    write_claims(judge_claims(grid, claims, load_results(grid, results)), results)
    write_report(grid, results, folder / "reports")
    return folder


def page(folder: Path, name: str) -> Page:
    return Page((folder / "reports" / name).read_text(encoding="utf-8"))


def test_the_first_page_leads_to_each_paper(folder: Path) -> None:
    first = page(folder, "index.html")
    links = [link for link in first.attribute("href", "a") if "arxiv" not in link]
    assert links == [f"paper_{paper}.html" for paper in PAPERS]
    assert "2 papers, measured again" in first.words
    assert "PointRend: Image Segmentation as Rendering" in first.words
    assert "Made up & <done> N. Obody." in first.words
    assert "Preset smoke: these numbers mean nothing." in first.words
    assert all((folder / "reports" / link).is_file() for link in links)


def test_a_papers_page_is_what_it_would_be_alone(
    folder: Path, grid: Grid, config_dir: Path, tmp_path: Path
) -> None:
    """But for the link to the others, and the claims of the other, which are counted apart."""
    for name in PAPERS:
        alone = load_grid("smoke", config_dir, papers=[name])
        part = grid.of_paper(name)
        for key in ("preset", "tables", "cells", "datasets", "evaluations", "costs", "trainings"):
            assert getattr(part, key) == getattr(alone, key), key
        assert part.papers.keys() == alone.papers.keys()
    shown = page(folder, f"paper_{NAME}.html")
    assert "Made-Up" in (folder / f"reports/paper_{NAME}.html").read_text()
    assert shown.attribute("href", "a").count("index.html") == 1
    assert "Image Segmentation as Rendering" not in shown.words
    assert "Ours is better." in shown.words
    assert "Ours is better." not in page(folder, "paper_pointrend.html").words


def test_the_summary_says_which_page_a_table_is_on(folder: Path) -> None:
    summary = json.loads((folder / "reports/summary.json").read_text())
    papers = {table["paper"] for table in summary["tables"].values()}
    assert papers == summary["papers"].keys() == set(PAPERS)
    assert summary["papers"][NAME]["page"] == f"paper_{NAME}.html"


def test_pages_of_papers_that_are_left_out_go(
    folder: Path, grid: Grid, config_dir: Path, tmp_path: Path
) -> None:
    reports = tmp_path / "reports"
    write_report_of(config_dir, PAPERS, tmp_path)
    assert len(list(reports.glob("*.html"))) == 3
    write_report_of(config_dir, [NAME], tmp_path)
    assert [path.name for path in reports.glob("*.html")] == ["index.html"]
    assert "<h1>Made up &amp; &lt;done&gt;</h1>" in (reports / "index.html").read_text()
    assert {path.stem for path in (reports / "tables").glob("*.csv")} >= {f"{NAME}_table1"}


def write_report_of(config_dir: Path, papers: list[str], folder: Path) -> None:
    grid = load_grid("smoke", config_dir, papers=papers)
    results = folder / "_".join(papers)
    fill_whole_grid(results, grid)
    write_metrics(grid, results)
    write_report(grid, results, folder / "reports")


def test_a_page_knows_the_data_that_models_were_trained_on_before() -> None:
    """Mask R-CNN's Cityscapes model starts from one of data that no column of a table names."""
    grid = load_grid("smoke", papers=["mask_rcnn", "pointrend"])
    alone = grid.of_paper("mask_rcnn")
    assert {training.dataset for training in alone.trainings} == set(alone.datasets)
    for training in alone.trainings:
        alone.training_settings(training.dataset, training.variant)
    assert "generated_coco_vehicles" not in grid.of_paper("pointrend").datasets


def test_no_two_parts_of_a_page_have_one_id(tmp_path: Path) -> None:
    """SharpMask has a table and a figure of one name, and the contents lead to both."""
    papers = list_papers()
    grid = load_grid("smoke", papers=papers)
    (tmp_path / "results").mkdir()
    write_metrics(grid, tmp_path / "results")
    write_report(grid, tmp_path / "results", tmp_path / "reports")
    for paper in papers:
        shown = Page((tmp_path / f"reports/paper_{paper}.html").read_text(encoding="utf-8"))
        ids = shown.attribute("id")
        assert len(ids) == len(set(ids))
        inside = {link[1:] for link in shown.attribute("href", "a") if link.startswith("#")}
        assert inside <= {*ids, "top"}
        assert f"{paper} Figure" not in shown.words
