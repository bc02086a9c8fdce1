"""Two presets, and a way to fill their results folders."""

from collections.abc import Callable
from pathlib import Path

import pytest
from made_up_metrics import make_result, only_table1, with_digests, write_result

from pointrend_repro.base.files import write_json
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.reporting.collect import write_metrics

RESAMPLED = {"resamples": 3, "seed": 0, "images": 2, "values": {"AP": [33.1, 33.2, None]}}


@pytest.fixture
def smoke() -> Grid:
    return only_table1(load_grid("smoke"), trials=2)


@pytest.fixture
def paper() -> Grid:
    return only_table1(load_grid("paper"), trials=3)


@pytest.fixture
def fill(tmp_path: Path) -> Callable[..., Path]:
    """Fill results/<preset> so that each cell's median misses the paper's number by `offset`."""

    def run(grid: Grid, offset: float = 0.0, skip: frozenset[str] = frozenset()) -> Path:
        results_dir = tmp_path / "results" / grid.name
        for cell in grid.cells:
            row = grid.tables[cell.table].rows[cell.row]
            for k, evaluation in enumerate(cell.evaluations):
                if evaluation.path not in skip:
                    value = row.paper[cell.column] + offset + 0.1 * (k - 1)
                    values = {"AP": round(value, 6), "AP50": 50.0, "APs": None}
                    write_result(results_dir, grid, evaluation, values)
        write_metrics(grid, results_dir)
        return results_dir

    return run


@pytest.fixture
def digested(paper: Grid, tmp_path: Path) -> Path:
    """All numbers of a preset, with the paper's values, as steps of today would leave them."""
    folder = tmp_path / "results" / paper.name
    for cell in paper.cells:
        for evaluation in cell.evaluations:
            value = paper.tables[cell.table].rows[cell.row].paper[cell.column]
            result = make_result(paper, evaluation, {"AP": float(value), "APs": None})
            write_json(folder / evaluation.path, with_digests(result | {"resampled": RESAMPLED}))
    write_metrics(paper, folder)
    return folder
