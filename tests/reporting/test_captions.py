"""Labels and captions of Snakemake's own report: every number can be found by what it is."""

from dataclasses import replace

import pytest

from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.experiments.nodes import Cost, Evaluation, Prediction, Training
from pointrend_repro.reporting.captions import (
    number_labels,
    settings_in_force,
    table_label,
    training_in_force,
)


@pytest.fixture(scope="module")
def grid() -> Grid:
    return load_grid("paper")


def score(variant: str, inference: str, metric: str = "coco_ap") -> Evaluation:
    return Evaluation(Prediction(Training("coco", variant, 2), inference), metric)


def test_a_score_names_all_tables_that_show_it(grid: Grid) -> None:
    assert number_labels(grid, score("pointrend_r50_fpn", "res224")) == {
        "table": "Table 1, Table 3, Table 4",
        "method": "PointRend, 224x224",
        "metric": "COCO AP",
        "data set": "COCO 2017",
        "trial": "2",
    }


def test_every_number_has_the_same_labels_and_a_caption(grid: Grid) -> None:
    found = [number_labels(grid, n) for n in [*grid.evaluations, *grid.costs]]
    assert {tuple(labels) for labels in found} == {
        ("table", "method", "metric", "data set", "trial")
    }
    assert all(text for labels in found for text in labels.values())
    scores = [tuple(labels.values()) for labels in found]
    assert len(set(scores)) == len(scores), "two numbers could not be told apart"


def test_settings_in_force_are_those_that_differ(grid: Grid) -> None:
    text = settings_in_force(grid, score("pointrend_heavy_r50_fpn", "res224"))
    lines = text.splitlines()
    assert lines[0] == "pointrend_heavy_r50_fpn on coco, trained with:"
    assert "  model.mask_head.oversample_ratio 10.0 (default 3.0)" in lines
    assert "  schedule.total_iters 90000" in lines
    assert lines[-3:-1] == ["predicted (res224) with:", "  the defaults"]
    assert not any("log_every_iters" in line for line in lines)
    other = settings_in_force(grid, score("pointrend_r50_fpn", "res28")).splitlines()
    assert "  output_resolution 28 (default 224)" in other


def test_a_count_tells_its_head(grid: Grid) -> None:
    text = settings_in_force(grid, Cost("pointrend_r50_fpn", "res224", "mask_head_cost"))
    assert "  model.mask_head.kind pointrend" in text.splitlines()


def test_models_of_a_figure_are_told_one_by_one(grid: Grid) -> None:
    pairs = [("coco", "mask_rcnn_r50_fpn"), ("coco", "pointrend_r50_fpn")]
    text = training_in_force(grid, pairs)
    assert [line for line in text.splitlines() if not line.startswith(" ")] == [
        f"{variant} on coco, trained with:" for _, variant in pairs
    ]


def test_braces_do_not_become_wildcards(grid: Grid) -> None:
    table = grid.tables["table1"].model_copy(update={"title": "Table {1}: {x}"})
    changed = replace(grid, tables=grid.tables | {"table1": table})
    assert table_label(changed, "table1") == "Table (1)"
    labels = number_labels(changed, score("mask_rcnn_r50_fpn", "default"))
    assert "{" not in "".join(labels.values())
