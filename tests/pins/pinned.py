"""What users and finished results rest on, as plain values that can be compared with recorded ones.

A pin is no truth: it says that something changed. `python tests/pins/record.py` writes them anew;
its diff, and the reason in the commit, tell what a user will notice.
"""

import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from pointrend_repro.base.provenance import digest
from pointrend_repro.checkpoints.known_models import KNOWN_MODELS
from pointrend_repro.cli import app
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.reporting.collect import COLUMNS, ORIGIN_COLUMNS
from pointrend_repro.reporting.exports import CSV_COLUMNS
from pointrend_repro.settings.identity import settings_digest
from working_copy import PARTS, REPOSITORY, WorkingCopy

RECORDED = Path(__file__).parent / "recorded"
# The others are for data sets of the user's own, which no file describes yet.
PRESETS = ("smoke", "mini", "tiny", "paper", "paper_deeplabv3", "paper_detectron2")


def load(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_text())


def trainings() -> dict[str, dict[str, str]]:
    """By preset, the digest by which Snakemake and checkpoints know each training's settings."""
    return {preset: _trainings(load_grid(preset)) for preset in PRESETS}


def _trainings(grid: Grid) -> dict[str, str]:
    pairs = sorted({(t.dataset, t.variant) for t in grid.trainings})
    settings = {pair: grid.training_settings(*pair) for pair in pairs}
    return {"/".join(pair): settings_digest(values) for pair, values in settings.items()}


def inferences() -> dict[str, dict[str, str]]:
    """By preset, the digest of each variant's settings of inference."""
    return {preset: _inferences(load_grid(preset)) for preset in PRESETS}


def _inferences(grid: Grid) -> dict[str, str]:
    pairs = sorted({(p.training.variant, p.inference) for p in grid.predictions})
    return {"/".join(pair): settings_digest(grid.inference_settings(*pair)) for pair in pairs}


def results() -> dict[str, Any]:
    """By preset, how many of each kind of result there are, and where they all lie."""
    return {preset: _results(load_grid(preset)) for preset in PRESETS}


def _results(grid: Grid) -> dict[str, Any]:
    metrics = Counter(evaluation.metric for evaluation in grid.evaluations)
    paths = [
        *(training.folder for training in grid.trainings),
        *(number.path for number in [*grid.evaluations, *grid.costs]),
    ]
    return {
        "trainings": len(grid.trainings),
        "predictions": len(grid.predictions),
        "metrics": dict(sorted(metrics.items())),
        "costs": len(grid.costs),
        "paths": digest(sorted(paths)),
    }


def commands() -> dict[str, Any]:
    """The parameters of every command: what a person types and what the rules say."""
    return dict(sorted(_commands(typer.main.get_command(app), "")))


def _commands(command: Any, name: str) -> list[tuple[str, Any]]:
    if hasattr(command, "commands"):
        return [
            entry
            for sub, each in command.commands.items()
            for entry in _commands(each, f"{name} {sub}".strip())
        ]
    return [(name, {_typed(parameter): _about(parameter) for parameter in command.params})]


def _typed(parameter: Any) -> str:
    is_option = parameter.param_type_name == "option"
    return "/".join([*parameter.opts, *parameter.secondary_opts]) if is_option else parameter.name


def _about(parameter: Any) -> list[Any]:
    """Whether it has to be given, whether several times, and the default if it is no path."""
    default = parameter.default
    shown = default if isinstance(default, bool | int | float | str | None) else "a path"
    return [parameter.required, bool(getattr(parameter, "multiple", False)), shown]


def models() -> dict[str, list[Any]]:
    """The names that `load_model` takes, with digests of what each stands for."""
    return {
        name: [
            *(settings_digest(part) for part in (m.model, m.input, m.inference)),
            digest(m.categories),
        ]
        for name, m in KNOWN_MODELS.items()
    }


def columns() -> dict[str, list[str]]:
    """The columns of the tables' CSV files, of `metrics.csv` and of `origins.csv`."""
    return {
        "tables": list(CSV_COLUMNS),
        "metrics.csv": list(COLUMNS),
        "origins.csv": list(ORIGIN_COLUMNS),
    }


def shell_lines() -> list[str]:
    """What each job of preset smoke runs, by a dry run of Snakemake in a copy of the pipeline."""
    with tempfile.TemporaryDirectory() as folder:
        for part in PARTS:
            source = REPOSITORY / part
            (shutil.copytree if source.is_dir() else shutil.copy)(source, Path(folder) / part)
        done = WorkingCopy(Path(folder)).snakemake(
            *("--dry-run", "--printshellcmds", "--cores", "1", "--config", "preset=smoke")
        )
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^Shell command: (.*)$", done.stdout + done.stderr, re.M)
    return sorted(" ".join(line.split()) for line in found if line != "None")


PINS: dict[str, Callable[[], Any]] = {
    function.__name__: function
    for function in (trainings, inferences, results, commands, models, columns, shell_lines)
}
