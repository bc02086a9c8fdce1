"""Training logs, thinned out into one CSV that the page can plot and people can download."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import require_beginning, write_text
from pointrend_repro.base.json_text import parse_json
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Training
from pointrend_repro.reporting.csv_text import read_csv, to_csv

MAX_POINTS = 200  # of a training: more than a plot on the page has pixels for
SKIPPED = "skipped_updates"
_LEFT_OUT = {"iteration", "elapsed_s"}  # the clock starts anew in a continued training
_KEYS = ("dataset", "variant", "trial", "update")

Numbers = Mapping[str, float]


@dataclass(frozen=True)
class Curve:
    """The thinned log of one training.

    Attributes:
        updates: where the points lie, in updates done.
        values: by the log's own names, NaN where a log has no finite number.
    """

    training: Training
    updates: tuple[int, ...]
    values: dict[str, tuple[float, ...]]


def thin(lines: Sequence[Numbers], max_points: int = MAX_POINTS) -> list[dict[str, float]]:
    """Return at most `max_points` rows: means over runs of neighbouring lines of equal length.

    Args:
        lines: of log.jsonl, in order.

    Returns:
        Rows with `update`, counted from 1, and the means of the finite values. `update` is the mean
        of its run, too, but in the last row that of the last line, so that a training ends where it
        ended. The count of skipped updates is the largest of its run.
    """
    count = min(len(lines), max_points)
    bounds = [round(i * len(lines) / count) for i in range(count + 1)] if count else []
    rows = [_mean(lines[a:b]) for a, b in pairwise(bounds)]
    if rows:
        rows[-1]["update"] = round(lines[-1]["iteration"]) + 1
    return rows


def _mean(run: Sequence[Numbers]) -> dict[str, float]:
    row: dict[str, float] = {"update": round(sum(line["iteration"] for line in run) / len(run)) + 1}
    for key in dict.fromkeys(key for line in run for key in line if key not in _LEFT_OUT):
        finite = [line[key] for line in run if key in line and math.isfinite(line[key])]
        if finite:
            row[key] = max(finite) if key == SKIPPED else sum(finite) / len(finite)
    return row


def write_curves(grid: Grid, results_dir: Path, output: Path) -> None:
    """Write the thinned logs of a preset's trainings that have one.

    Args:
        results_dir: the preset's folder, `results/<preset>`.

    Raises:
        UserError: a log is damaged, or `output` is another file.
    """
    require_beginning(output, ",".join(_KEYS), "training curves")
    rows = [
        {"dataset": t.dataset, "variant": t.variant, "trial": t.trial, **row}
        for t in grid.trainings
        if (path := results_dir / t.updates_path).exists()
        for row in thin(_read_log(path))
    ]
    values = sorted({key for row in rows for key in row} - set(_KEYS))
    shown = [{k: f"{v:.5g}" if k in values else v for k, v in row.items()} for row in rows]
    write_text(output, to_csv([*_KEYS, *values], shown))


def _read_log(path: Path) -> list[Numbers]:
    lines: list[Numbers] = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines()):
        try:
            numbers = parse_json(line, allow_nan=True)
            numbers["iteration"]
            lines.append({key: float(value) for key, value in numbers.items()})
        except (ValueError, TypeError, AttributeError, KeyError):
            raise UserError(
                f"{path}: line {number + 1} is not of a training log; train the model again"
            ) from None
    return lines


def read_curves(path: Path) -> list[Curve]:
    """Read what `write_curves` has written, or nothing where it has not.

    Raises:
        UserError: the file is damaged.
    """
    if not path.exists():
        return []
    found: dict[Training, list[dict[str, str]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in read_csv(file):
                training = Training(row["dataset"], row["variant"], int(row["trial"]))
                found.setdefault(training, []).append(row)
        return [_curve(training, rows) for training, rows in found.items()]
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise UserError(f"{path}: not of training curves ({error}); make it again") from None


def _curve(training: Training, rows: list[dict[str, str]]) -> Curve:
    values = {
        key: tuple(float(row[key] or "nan") for row in rows)
        for key in rows[0]
        if key not in _KEYS and any(row[key] for row in rows)
    }
    return Curve(training, tuple(int(row["update"]) for row in rows), values)
