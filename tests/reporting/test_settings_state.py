"""The page says which numbers were made with settings that the preset no longer has."""

from pathlib import Path

import pytest
from made_up_metrics import fill_whole_grid, only_table1

from pointrend_repro.base.asked import asking
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.reporting.code_state import TodaysCode
from pointrend_repro.reporting.conditions import gather_conditions
from pointrend_repro.reporting.results import load_results
from pointrend_repro.reporting.settings_state import in_words


def grid_with(*words: str) -> Grid:
    with asking(words):
        return only_table1(load_grid("smoke"), trials=1)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "as the preset"),
        (("optimizer.base_lr=0.5",), "not today's: "),
        (("run.log_every_iters=7",), "as the preset"),  # decides no number
    ],
)
def test_settings_that_have_changed_are_told(
    tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    made = grid_with()
    folder = tmp_path / "results/smoke"
    fill_whole_grid(folder, made)
    today = grid_with(*words)
    results = load_results(today, folder)
    assert results
    said = in_words(today, results)
    assert said.startswith(told)
    if words and said.startswith("not"):
        assert "mask_rcnn_r50_fpn" in said
    assert gather_conditions(today, results, TodaysCode()).settings == said


def test_nothing_is_said_of_nothing() -> None:
    assert in_words(grid_with(), {}) == "nothing measured yet"
