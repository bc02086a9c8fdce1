"""Two presets, and a way to fill their results folders."""

from collections.abc import Callable
from pathlib import Path

import pytest
from made_up_metrics import only_table1, write_result

from pointrend_repro.experiments import Grid, load_grid
from pointrend_repro.reporting.collect import write_metrics


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
