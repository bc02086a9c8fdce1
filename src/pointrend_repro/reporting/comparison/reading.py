"""One side of a comparison: a folder `results/<preset>` of a run, made here or brought here.

Only its `metrics.csv` has to be there. With the metric files beside it, origins are told in full.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pointrend_repro.base.errors import UserError
from pointrend_repro.config.papers import list_papers
from pointrend_repro.data.paths import UserData
from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.experiments.nodes import METRICS_FILE
from pointrend_repro.reporting.collect import COLUMNS
from pointrend_repro.reporting.comparison.trials import with_trials_of
from pointrend_repro.reporting.csv_text import unguarded
from pointrend_repro.reporting.results import Results, load_results


@dataclass(frozen=True)
class Side:
    """One of the two results folders.

    Attributes:
        name: `A` or `B`.
        folder: as the user typed it.
        preset: of its numbers.
        metrics: the frame of `metrics_frame`.
        results: the metric files that are there.
    """

    name: str
    folder: Path
    preset: str
    metrics: pd.DataFrame
    results: Results


def read_sides(a: Path, b: Path, config_dir: Path) -> tuple[Grid, Side, Side]:
    """Read both folders, and the preset that they are of, with the trials that either has.

    Raises:
        UserError: one is no results folder or is damaged, or they are of different presets.
    """
    first, second = _read_metrics(a), _read_metrics(b)
    presets = [str(metrics["preset"].iloc[0]) for metrics in (first, second)]
    if presets[0] != presets[1]:
        raise UserError(
            f"{a} is of preset {presets[0]!r}, {b} of preset {presets[1]!r}: "
            "give two results of one preset"
        )
    # Any name will do: it only says that AP* is among the numbers. Others' metrics may be gone.
    names = {name for metrics in (first, second) for name in metrics["metric"]}
    known = [METRICS.find(name) for name in sorted(names & set(METRICS.names()))]
    has_lvis = any(metric.truth == "lvis_annotations" for metric in known)
    user = UserData(lvis_annotations=Path(METRICS_FILE) if has_lvis else None)
    grid = with_trials_of(load_grid_of_all(presets[0], config_dir, user), (first, second))
    return (
        grid,
        Side("A", a, presets[0], first, load_results(grid, a)),
        Side("B", b, presets[1], second, load_results(grid, b)),
    )


def load_grid_of_all(preset_name: str, config_dir: Path, user: UserData) -> Grid:
    """Return a preset's grid with all papers, or with its own if it cannot run the others.

    Only what was measured is compared, of whatever paper it is.

    Raises:
        UserError: as `load_grid`.
    """
    try:
        return load_grid(preset_name, config_dir, user, list_papers(config_dir))
    except UserError:
        return load_grid(preset_name, config_dir, user)


def _read_metrics(folder: Path) -> pd.DataFrame:
    path = folder / METRICS_FILE
    if not path.is_file():
        raise UserError(f"{folder}: {_why_no_results(folder)}")
    try:
        metrics = pd.read_csv(path, dtype=dict.fromkeys(COLUMNS, "string"))
        if "state" not in metrics.columns:  # collected before digests were kept
            metrics = metrics.assign(state="no digest")
        missing = sorted(set(COLUMNS) - set(metrics.columns))
        if missing:
            raise UserError(f"{path}: has no column {missing[0]!r}; collect the metrics again")
        metrics = metrics[list(COLUMNS)]
        texts = [column for column, kind in COLUMNS.items() if kind == "string"]
        metrics[texts] = metrics[texts].map(unguarded, na_action="ignore")
        metrics = metrics.astype(COLUMNS)
    except (ValueError, UnicodeDecodeError) as error:  # pandas' own errors are ValueErrors
        told = " ".join(str(error).split())
        raise UserError(f"{path}: cannot be read ({told}); collect the metrics again") from None
    if metrics.empty:
        raise UserError(f"{path}: holds no number; nothing was measured yet")
    if metrics["preset"].nunique(dropna=False) != 1:
        raise UserError(f"{path}: holds numbers of several presets; collect the metrics again")
    return metrics


def _why_no_results(folder: Path) -> str:
    if not folder.is_dir():
        return "no such folder; give a folder results/<preset>"
    inside = sorted(path.parent for path in folder.glob(f"*/{METRICS_FILE}"))
    if inside:
        return f"holds results of presets; give one of them, such as {inside[0]}"
    return f"has no {METRICS_FILE}; give a folder results/<preset> whose metrics are collected"
