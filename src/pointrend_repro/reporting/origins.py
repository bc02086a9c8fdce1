"""The way back from a measured cell: its trials, their three steps, and what those ran with."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pointrend_repro.experiments import Cost, Evaluation
from pointrend_repro.provenance import digest
from pointrend_repro.reporting.results import Record, Result
from pointrend_repro.reporting.tables import MeasuredCell, MeasuredTable


@dataclass(frozen=True)
class Step:
    """One step of a trial, and whether today's code is the code that ran it."""

    name: str
    record: Record
    code_changed: bool
    settings_id: str


@dataclass(frozen=True)
class Trial:
    """One trial of a cell, or its count. Paths are relative to `results/<preset>`."""

    number: int | None
    value: float
    file: str
    steps: tuple[Step, ...]
    logs: tuple[str, ...]


@dataclass(frozen=True)
class CellOrigin:
    """Everything that made one measured cell."""

    anchor: str
    title: str
    cell: MeasuredCell
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class Settings:
    """One set of settings as JSON, and the steps that ran with it."""

    anchor: str
    users: tuple[str, ...]
    text: str


def trace_origins(
    tables: list[MeasuredTable],
    results: Mapping[Evaluation | Cost, Result],
    *,
    results_dir: Path,
    code_digest: str,
) -> list[CellOrigin]:
    """Return the origin of every measured cell.

    Args:
        results_dir: the preset's folder; logs are looked for there.
        code_digest: digest of today's code, to tell results of other code.
    """
    origins = []
    for measured in tables:
        for cell in measured.cells.values():
            trials = tuple(
                Trial(
                    number=results[evaluation].origin.trial,
                    value=value,
                    file=evaluation.path,
                    steps=_steps(results[evaluation], code_digest),
                    logs=_logs(evaluation, results_dir),
                )
                for evaluation, value in cell.values
            )
            if trials:
                title = f"{measured.table.title}: {cell.row.title}, {cell.column.title}"
                origins.append(CellOrigin(anchor(cell), title, cell, trials))
    return origins


def anchor(cell: MeasuredCell) -> str:
    """Return the id on the page of a cell's origin."""
    return f"origin-{cell.cell.table}-{cell.cell.row}-{cell.cell.column}"


def collect_settings(results: Mapping[Evaluation | Cost, Result]) -> list[Settings]:
    """Return each distinct set of settings once, sorted by what ran with it.

    A training is behind many cells; writing its settings into each would make the page huge.
    """
    texts: dict[str, str] = {}
    users: dict[str, set[str]] = {}
    for evaluation, result in results.items():
        places = {"evaluate": evaluation.path}
        if isinstance(evaluation, Evaluation):
            places["train"] = evaluation.prediction.training.folder
            places["predict"] = evaluation.prediction.folder
        for name, record in result.origin.steps.items():
            key = _settings_id(record)
            texts[key] = json.dumps(record.settings, indent=2, ensure_ascii=False)
            users.setdefault(key, set()).add(f"{name} {places[name]}")
    found = [Settings(key, tuple(sorted(users[key])), text) for key, text in texts.items()]
    return sorted(found, key=lambda settings: settings.users)


def _steps(result: Result, code_digest: str) -> tuple[Step, ...]:
    return tuple(
        Step(name, record, record.code_digest != code_digest, _settings_id(record))
        for name, record in result.origin.steps.items()
    )


def _settings_id(record: Record) -> str:
    # Of the settings themselves: a digest that a file merely states could stand for two of them.
    return f"settings-{digest(record.settings)}"


def _logs(evaluation: Evaluation | Cost, results_dir: Path) -> tuple[str, ...]:
    folders = [(results_dir / evaluation.path).parent]
    if isinstance(evaluation, Evaluation):
        folders.append(results_dir / evaluation.prediction.training.folder)
    paths = [path for folder in folders for path in folder.glob("*.log")]
    return tuple(sorted(str(path.relative_to(results_dir)) for path in paths))
