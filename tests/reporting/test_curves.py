"""Training logs become one CSV of bounded size, and plots that tell each training."""

import csv
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointrend_repro.base.errors import UserError
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.reporting.pictures.curves import LEFT, RIGHT, lay_out_curves
from pointrend_repro.reporting.pictures.thinning import (
    MAX_POINTS,
    SKIPPED,
    read_curves,
    thin,
    write_curves,
)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 700), st.integers(1, 50))
def test_every_line_counts_once(count: int, max_points: int) -> None:
    rows = thin([{"iteration": i, "loss": float(i)} for i in range(count)], max_points)
    assert len(rows) == min(count, max_points)
    lengths, start = [], 0
    for row in rows:  # a run of neighbours from `start` on has this mean
        length = round(2 * (row["loss"] - start)) + 1
        lengths.append(length)
        assert row["loss"] == pytest.approx(start + (length - 1) / 2)
        start += length
    assert start == count
    assert max(lengths, default=0) - min(lengths, default=0) <= 1


def test_a_short_log_is_left_as_it_is() -> None:
    lines = [{"iteration": 19, "loss": 2.5, "lr": 0.1, "elapsed_s": 3.0}]
    assert thin(lines) == [{"update": 20, "loss": 2.5, "lr": 0.1}]


def test_what_is_not_finite_is_left_out_and_skipped_updates_are_counted() -> None:
    lines = [
        {"iteration": 0, "loss": 1.0},
        {"iteration": 1, "loss": math.nan, SKIPPED: 1},
        {"iteration": 2, "loss": 3.0},
        {"iteration": 3, "loss": math.inf, SKIPPED: 2},
    ]
    assert thin(lines, 1) == [{"update": 4, "loss": 2.0, SKIPPED: 2}]
    assert thin(lines[3:]) == [{"update": 4, SKIPPED: 2}]


def write_logs(grid: Grid, results_dir: Path, count: int, every: int = 20) -> None:
    for k, training in enumerate(grid.trainings):
        path = results_dir / training.folder / "log.jsonl"
        path.parent.mkdir(parents=True)
        with path.open("w") as file:
            for i in range(count):
                mask = 1.0 / (1 + i) + k
                numbers = {"loss": mask + 0.5, "loss_mask": mask, "loss_box": 0.5, "lr": 0.01}
                file.write(json.dumps({"iteration": (i + 1) * every - 1, **numbers}) + "\n")


@pytest.fixture
def results_dir(paper: Grid, tmp_path: Path) -> Path:
    write_logs(paper, tmp_path / "results", 500)
    return tmp_path / "results"


def test_the_csv_holds_every_training(paper: Grid, results_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    write_curves(paper, results_dir, path)
    with path.open() as file:
        rows = list(csv.DictReader(file))
    columns = ["dataset", "variant", "trial", "update", "loss", "loss_box", "loss_mask", "lr"]
    assert list(rows[0]) == columns
    assert len(rows) == MAX_POINTS * len(paper.trainings)
    found = {(row["dataset"], row["variant"], int(row["trial"])) for row in rows}
    assert found == {(t.dataset, t.variant, t.trial) for t in paper.trainings}
    assert [curve.training for curve in read_curves(path)] == paper.trainings
    first = read_curves(path)[0]
    assert first.updates[-1] == 10_000
    assert first.updates[-2] < 9980  # a mean of neighbours lies in the middle of them
    assert first.values["loss"][0] == pytest.approx(0.5 + (1 + 1 / 2) / 2, rel=0.2)


def test_another_table_is_not_replaced(paper: Grid, results_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("dataset,variant,trial,metric\n")
    with pytest.raises(UserError, match=r"metrics\.csv: exists, and is no file of training curves"):
        write_curves(paper, results_dir, path)
    assert path.read_text() == "dataset,variant,trial,metric\n"
    write_curves(paper, results_dir, tmp_path / "curves.csv")
    write_curves(paper, results_dir, tmp_path / "curves.csv")  # its own it may replace


def test_no_log_is_no_curve(paper: Grid, results_dir: Path, tmp_path: Path) -> None:
    gone = paper.trainings[0]
    (results_dir / gone.folder / "log.jsonl").unlink()
    write_curves(paper, results_dir, tmp_path / "curves.csv")
    curves = read_curves(tmp_path / "curves.csv")
    assert gone not in {curve.training for curve in curves}
    first = lay_out_curves(paper, curves)[0].variants[0]
    assert len(first.rows) == 2
    assert "2 of 3 trials" in first.description
    assert read_curves(tmp_path / "nothing.csv") == []
    assert lay_out_curves(paper, []) == []


@pytest.mark.parametrize(
    "damage",
    ['{"iteration": 3, "loss"', "[1]", '{"loss": 1}', '{"loss": []}', "[" * 200_000, "9" * 5_000],
    ids=["cut", "list", "no iteration", "no number", "deep", "digits"],
)
def test_a_damaged_log_is_named(
    paper: Grid, results_dir: Path, tmp_path: Path, damage: str
) -> None:
    path = results_dir / paper.trainings[0].folder / "log.jsonl"
    path.write_text(path.read_text() + damage)
    with pytest.raises(UserError, match=r"log\.jsonl: line 501 is not of a training log"):
        write_curves(paper, results_dir, tmp_path / "curves.csv")


@pytest.mark.parametrize(("old", "new"), [("trial", "trail"), (",0,1", ",zero,1"), ("0.5", "half")])
def test_a_damaged_csv_is_named(
    paper: Grid, results_dir: Path, tmp_path: Path, old: str, new: str
) -> None:
    path = tmp_path / "curves.csv"
    write_curves(paper, results_dir, path)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UserError, match=r"curves\.csv: not of training curves"):
        read_curves(path)


def test_a_plot_has_a_line_for_every_trial(paper: Grid, results_dir: Path, tmp_path: Path) -> None:
    write_curves(paper, results_dir, tmp_path / "curves.csv")
    (group,) = lay_out_curves(paper, read_curves(tmp_path / "curves.csv"))
    assert [part.words for part in group.parts.values()] == ["box", "mask (of PointRend: coarse)"]
    assert len(group.variants) == 2
    for variant in group.variants:
        loss, parts, rate = variant.plots
        assert [line.style for line in loss.lines] == ["total"] * 3
        assert [line.style for line in parts.lines] == ["part3"] + ["part4"] * 3
        assert len(rate.lines) == 1  # all trials' rates are one line
        assert rate.title == "learning rate, up to 0.01"
        for plot in variant.plots:
            for line in plot.lines:
                points = follow(line.path)
                assert all(LEFT <= x <= RIGHT for x, _ in points)
                assert all(plot.top <= y <= plot.bottom for _, y in points)
        assert [row.trial for row in variant.rows] == [0, 1, 2]
        assert "3 trials" in variant.description
    row = group.variants[0].rows[0]
    assert row.updates == 10_000
    assert group.variants[0].ticks[-1].text == "10,000"
    assert "to 2.5 after 10,000 updates" in group.variants[0].description
    assert row.last_loss == pytest.approx(0.5 + 1 / 500, abs=0.001)
    assert row.last_parts["loss_box"] == 0.5


def follow(path: str) -> list[tuple[int, int]]:
    """The points of a path, as SVG reads it."""
    points: list[tuple[int, int]] = []
    for part in re.findall(r"M[^M]*", path):
        start, _, steps = part[1:].partition("l")
        x, y = map(int, start.split())
        points.append((x, y))
        numbers = list(map(int, re.findall(r"-?\d+", steps)))
        for dx, dy in zip(numbers[::2], numbers[1::2], strict=True):
            x, y = x + dx, y + dy
            points.append((x, y))
    return points


def test_a_head_of_ones_own_has_its_parts_shown(paper: Grid, tmp_path: Path) -> None:
    training = paper.trainings[0]
    path = tmp_path / training.folder / "log.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"iteration": 0, "loss": 2.0, "loss_mine": 2.0, "lr": 0.1}))
    write_curves(paper, tmp_path, tmp_path / "curves.csv")
    (group,) = lay_out_curves(paper, read_curves(tmp_path / "curves.csv"))
    assert [(p.words, p.style) for p in group.parts.values()] == [("loss_mine", "other")]


def test_the_whole_grid_of_the_paper_stays_small(tmp_path: Path) -> None:
    grid = load_grid("paper")
    grid = replace(grid, preset=grid.preset.model_copy(update={"figures": []}))
    write_logs(grid, tmp_path, 201)
    write_curves(grid, tmp_path, tmp_path / "curves.csv")
    groups = lay_out_curves(grid, read_curves(tmp_path / "curves.csv"))
    lines = [line for g in groups for v in g.variants for p in v.plots for line in p.lines]
    assert sum(line.style == "total" for line in lines) == len(grid.trainings) == 104
    assert sum(len(line.path) for line in lines) < 1e6
