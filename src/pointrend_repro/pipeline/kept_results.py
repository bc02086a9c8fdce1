"""Results that Snakemake keeps although settings have changed since: it has no notes of them.

Snakemake compares settings with its notes in `.snakemake`. Results that were copied without that
folder count as finished whatever they were made with, on purpose (docs/claims.md, "Going on
elsewhere"). Their own records say what that was.
"""

from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json
from pointrend_repro.base.origins import Maker, origin_path
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.settings.identity import are_of

_NOTES = Path(".snakemake/metadata")
# Of a note's name, which is the result's path in base64; the rest is a name in a folder `@<begin>`.
_LONGEST = 254


class _Result(NamedTuple):
    """A result that may be there, and the settings that it would be made with today."""

    path: Path
    step: Maker
    today: Callable[..., BaseModel]
    names: tuple[str, str]


def kept_in_words(grid: Grid, results_dir: Path) -> str | None:
    """Return in one line how many results without notes are of other settings; None: none are.

    Args:
        results_dir: `results/<preset>`, as Snakemake names it.
    """
    known: dict[tuple[str, ...], bool] = {}
    unnoted = [result for result in _results(grid, results_dir) if _is_unnoted(result.path)]
    others = [result.path for result in unnoted if _is_of_other_settings(result, known)]
    if not others:
        return None
    first = f"{others[0]} ..." if others[1:] else str(others[0])
    return (
        f"{len(others)} of {len(unnoted)} models and predictions in {results_dir} that Snakemake "
        "has no notes of (.snakemake) were made with other settings, and are kept; to make them "
        f"anew, remove them ({first}; `pointrend-repro plan` counts them)"
    )


def _results(grid: Grid, results_dir: Path) -> Iterator[_Result]:
    for training in grid.trainings:
        names = training.dataset, training.variant
        path = results_dir / training.model_path
        yield _Result(path, "train", grid.training_settings, names)
    for prediction in grid.predictions:
        names = prediction.training.variant, prediction.inference
        path = results_dir / prediction.path(grid.kind_of(prediction))
        yield _Result(path, "predict", grid.inference_settings, names)


def _is_unnoted(result: Path) -> bool:
    name = urlsafe_b64encode(str(result).encode()).decode()
    parts = [name[start : start + _LONGEST] for start in range(0, len(name), _LONGEST)]
    note = _NOTES.joinpath(*(f"@{part}" for part in parts[:-1]), parts[-1])
    return result.exists() and not note.exists()


def _is_of_other_settings(result: _Result, known: dict[tuple[str, ...], bool]) -> bool:
    try:
        record = read_json(origin_path(result.path))[result.step]
        made_with, digest = record["settings"], record["settings_digest"]
    except (UserError, KeyError, TypeError):
        return False  # whoever reads the result says so
    # All trials have the same.
    key = (result.step, str(digest), *result.names)
    if key not in known:
        known[key] = not are_of(made_with, result.today(*result.names))
    return known[key]
