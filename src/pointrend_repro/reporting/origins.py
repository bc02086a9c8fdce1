"""The way back from a measured cell: its trials, the steps of each, and what those ran with.

Many cells share a training or a prediction, so each step is described once and trials link to it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pointrend_repro.base.provenance import digest
from pointrend_repro.experiments.nodes import Cost, Evaluation, Prediction, Training
from pointrend_repro.reporting.code_state import TodaysCode
from pointrend_repro.reporting.missing import Absent
from pointrend_repro.reporting.results import Result
from pointrend_repro.reporting.runs import Run
from pointrend_repro.reporting.settings_diff import Difference, differences
from pointrend_repro.reporting.tables import MeasuredCell, MeasuredTable


@dataclass(frozen=True)
class Trial:
    """One trial of a cell, or its count. `file` is relative to `results/<preset>`.

    `altered` says why the number is no longer as it was made; empty if it is.
    """

    number: int | None
    seed: int | None
    value: float
    file: str
    runs: tuple[Run, ...]
    altered: str

    @property
    def code_changed(self) -> bool:
        """Whether any step was run by other code than today's."""
        return any(run.code_changed for run in self.runs)

    @property
    def data_changed(self) -> bool:
        """Whether any step read other data than there are today."""
        return any(run.record.data_changed for run in self.runs)


@dataclass(frozen=True)
class CellOrigin:
    """Everything that made one cell, and what is known of the trials that are not there."""

    anchor: str
    title: str
    cell: MeasuredCell
    trials: tuple[Trial, ...]
    absent: tuple[tuple[int | None, Absent], ...]

    @property
    def code_changed(self) -> bool:
        """Whether any trial was made by other code than today's."""
        return any(trial.code_changed for trial in self.trials)


@dataclass(frozen=True)
class Settings:
    """One set of settings: the steps that ran with it, what is not the default, all as JSON."""

    anchor: str
    users: tuple[str, ...]
    differences: tuple[Difference, ...]
    text: str


def trace_origins(
    tables: Sequence[MeasuredTable],
    results: Mapping[Evaluation | Cost, Result],
    absent: Mapping[Evaluation | Cost, Absent],
    *,
    results_dir: Path,
    code: TodaysCode,
) -> list[CellOrigin]:
    """Return the origin of every cell that has a value, or a log that says why it has none.

    Args:
        results_dir: the preset's folder; logs and checkpoints are looked for there.
        code: today's, to tell results of other code.
    """
    runs = {
        evaluation: _runs(evaluation, result, results_dir, code)
        for evaluation, result in results.items()
    }
    origins = []
    for measured in tables:
        for cell in measured.cells.values():
            trials = tuple(
                Trial(
                    number=results[evaluation].origin.trial,
                    seed=next(iter(results[evaluation].origin.steps.values())).seed,
                    value=value,
                    file=evaluation.path,
                    runs=runs[evaluation],
                    altered=results[evaluation].altered,
                )
                for evaluation, value in cell.values
            )
            gone = _absent_trials(cell, absent)
            if trials or any(why.log for _, why in gone):
                title = f"{measured.table.title}: {cell.row.title}, {cell.column.title}"
                origins.append(CellOrigin(anchor(cell), title, cell, trials, gone))
    return origins


def collect_runs(origins: Sequence[CellOrigin]) -> list[Run]:
    """Return each step behind the origins once, in the order of the pipeline and by name."""
    found = {run.anchor: run for o in origins for trial in o.trials for run in trial.runs}
    order = ["train", "predict", "evaluate"]
    return sorted(found.values(), key=lambda run: (order.index(run.name), run.title, run.anchor))


def collect_settings(runs: Sequence[Run]) -> list[Settings]:
    """Return each distinct set of settings once, sorted by what ran with it."""
    values = {run.settings_id: run.record.settings for run in runs}
    users: dict[str, list[str]] = {}
    for run in runs:
        users.setdefault(run.settings_id, []).append(run.title)
    found = [
        Settings(
            anchor=key,
            users=tuple(sorted(users[key])),
            differences=tuple(differences(value)),
            text=json.dumps(value, indent=2, ensure_ascii=False),
        )
        for key, value in values.items()
    ]
    return sorted(found, key=lambda settings: settings.users)


def anchor(cell: MeasuredCell) -> str:
    """Return the id on the page of a cell's origin."""
    return f"origin-{cell.cell.table}-{cell.cell.row}-{cell.cell.column}"


def _absent_trials(
    cell: MeasuredCell, absent: Mapping[Evaluation | Cost, Absent]
) -> tuple[tuple[int | None, Absent], ...]:
    return tuple(
        (e.prediction.training.trial if isinstance(e, Evaluation) else None, absent[e])
        for e in cell.cell.evaluations
        if e in absent
    )


def _runs(
    evaluation: Evaluation | Cost, result: Result, results_dir: Path, code: TodaysCode
) -> tuple[Run, ...]:
    places = _places(evaluation)
    steps = [(name, places[name], record) for name, record in result.origin.steps.items()]
    built_on = []
    for source in [source for _, _, record in steps for source in record.sources]:
        if source.train:
            built_on.append(("train", _training_place(source.training), source.train))
        if source.predict is not None:
            place = _prediction_place(source.prediction, evaluation)
            built_on.append(("predict", place, source.predict))
    runs: list[Run] = []
    for name, (title, wanted), record in built_on + steps:
        left = _files(wanted, results_dir)
        run = Run(
            anchor=f"run-{digest([name, title, record.model_dump(mode='json')])}",
            name=name,
            title=title,
            record=record,
            others=tuple(code.others(record)),
            # Of the settings: a digest that a file merely states could stand for two of them.
            settings_id=f"settings-{digest(record.settings)}",
            files=left,
            gone=_gone(name, wanted, dict(left)),
        )
        runs += [run] if run.anchor not in {each.anchor for each in runs} else []
    return tuple(runs)


def _places(evaluation: Evaluation | Cost) -> dict[str, tuple[str, dict[str, str]]]:
    """Return for each step what to call it, and where it leaves what."""
    if isinstance(evaluation, Cost):
        files = {"result": evaluation.path, "log": evaluation.log_path}
        return {"evaluate": (f"count {evaluation.variant}/{evaluation.inference}", files)}
    prediction, training = evaluation.prediction, evaluation.prediction.training
    return {
        "train": _training_place(training),
        "predict": _prediction_place(prediction, evaluation),
        "evaluate": (
            f"evaluate {evaluation.path.removesuffix('.json')}",
            {"result": evaluation.path, "log": evaluation.log_path},
        ),
    }


def _prediction_place(
    prediction: Prediction, evaluation: Evaluation | Cost
) -> tuple[str, dict[str, str]]:
    """Return how to call a prediction, of the kind that an evaluation scores, and its files."""
    assert isinstance(evaluation, Evaluation)
    kind = evaluation.kind
    files = {kind.title: prediction.path(kind), "log": prediction.log_path}
    return f"predict {prediction.folder}", files


def _training_place(training: Training) -> tuple[str, dict[str, str]]:
    files = {
        "model": training.model_path,
        "checkpoint": f"{training.folder}/checkpoints/*.pt",
        "log": training.log_path,
    }
    return f"train {training.folder}", files


def _gone(name: str, places: Mapping[str, str], files: Mapping[str, str]) -> tuple[str, ...]:
    """Return the result of a step, which comes first of its files, if it is not there any more."""
    result = next(iter(places))
    return () if name not in ("train", "predict") or result in files else (result,)


def _files(wanted: Mapping[str, str], results_dir: Path) -> tuple[tuple[str, str], ...]:
    """Return the files that are there; of several checkpoints the newest."""
    found = []
    for what, pattern in wanted.items():
        folder = (results_dir / pattern).parent
        if pattern.endswith("*.pt"):
            paths = sorted(folder.glob("*.pt"))[-1:]
        else:
            paths = [path for path in [results_dir / pattern] if path.exists()]
        found += [(what, path.relative_to(results_dir).as_posix()) for path in paths]
    return tuple(found)
