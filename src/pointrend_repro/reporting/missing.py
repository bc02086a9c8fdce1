"""Why a number is not there: its first step without a result, and the last line of that one's log.

A log may hold anything, and of any size: only its end is read, as text, cut to one short line.
"""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pointrend_repro.declarations.prediction_kind import PredictionKind
from pointrend_repro.experiments.nodes import (
    Cost,
    Evaluation,
    Prediction,
    Training,
    dataset_log_path,
    dataset_path,
)

_TAIL_BYTES = 16_384
_LONGEST_LINE = 240

_TERMINAL_CODES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)")
_PROGRESS_BAR = re.compile("[━╸╺]{3,}")
_TRACEBACK = "Traceback (most recent call last)"
# What our commands, Python, the system and Slurm write when a step ends badly.
_FAILURE = re.compile(
    r"(^|: )(error|ERROR)\b|^[\w.]*(Error|Exception|Interrupt)\b"
    r"|^(Killed|Terminated|Segmentation fault|Bus error)|\b(CANCELLED|OUT_OF_MEMORY|oom)\b"
)

_NOT_RUN = {
    "predict": "trained, not predicted yet",
    "evaluate": "predicted, not scored yet",
    "cost": "not counted yet",
}


@dataclass(frozen=True)
class Absent:
    """A result that is not there. Paths are relative to `results/<preset>`.

    Attributes:
        step: the first of its steps that has no result.
        failed: whether the log ends with an error.
        log: that step's log, if it has written any.
        last_line: the last line of that log.
    """

    step: str
    failed: bool = False
    log: str | None = None
    last_line: str = ""

    @property
    def reason(self) -> str:
        """One line for the place where the number would stand."""
        if self.log is None:
            return _NOT_RUN.get(self.step, "not run yet")
        if not self.last_line:
            return f"{self.step} has not finished; its log is empty"
        if self.failed:
            return f"{self.step} failed: {self.last_line}"
        return f"{self.step} has not finished; last line of its log: {self.last_line}"


@dataclass(frozen=True)
class _Step:
    name: str
    results: tuple[str, ...]
    logs: tuple[str, ...]  # its own first, then that of the process that does several steps

    def log(self, results_dir: Path, since: float | None) -> str | None:
        """The log that speaks for it: the first that says anything, or is there at all."""
        there = [log for log in self.logs if _is_since(results_dir / log, since)]
        speaking = [log for log in there if last_line(results_dir / log)]
        return next(iter(speaking + there), None)


def why_absent(
    result: Evaluation | Cost,
    results_dir: Path,
    before: Sequence[Training | Prediction],
    kind_of: Callable[[Prediction], PredictionKind],
) -> Absent:
    """Return why a metric file is not there.

    Args:
        results_dir: the preset's folder, `results/<preset>`.
        before: the trainings and predictions that it needs, in their order.
        kind_of: of which kind these predictions are.
    """
    steps = _steps(result, before, kind_of)
    done = [all((results_dir / path).exists() for path in step.results) for step in steps]
    # What came before the last result that is there need not be kept.
    first = min(len(steps) - done[::-1].index(True) if any(done) else 0, len(steps) - 1)
    since = _made(steps[first - 1], results_dir) if first else None
    # A log older than what its step would read now is of an earlier run. The newest of those that
    # count, and of equals the last, is that of the step which was reached.
    logs = [(step.name, step.log(results_dir, since)) for step in steps[first:]]
    logged = [(name, log) for name, log in logs if log is not None]
    if not logged:
        return Absent(steps[first].name)
    name, log = max(reversed(logged), key=lambda pair: (results_dir / pair[1]).stat().st_mtime)
    line = last_line(results_dir / log)
    failed = bool(_FAILURE.search(line)) or _TRACEBACK in _tail(results_dir / log)
    return Absent(name, failed, log, line)


def _made(step: _Step, results_dir: Path) -> float:
    return max((results_dir / path).stat().st_mtime for path in step.results)


def _is_since(log: Path, since: float | None) -> bool:
    return log.is_file() and (since is None or log.stat().st_mtime >= since)


def _steps(
    result: Evaluation | Cost,
    before: Sequence[Training | Prediction],
    kind_of: Callable[[Prediction], PredictionKind],
) -> list[_Step]:
    """The steps to a result in their order, with all the files that each leaves behind."""
    if isinstance(result, Cost):
        return [_Step("cost", (result.path,), (result.log_path,))]
    prediction, training = result.prediction, result.prediction.training

    def step(source: Training | Prediction) -> _Step:
        if isinstance(source, Training):
            name = "train" if source == training else f"train {source.folder}"
            return _training_step(name, source)
        return _prediction_step(f"predict {source.folder}", source, kind_of(source))

    return [
        _Step(
            "data check", (dataset_path(training.dataset),), (dataset_log_path(training.dataset),)
        ),
        *map(step, before),
        _prediction_step("predict", prediction, result.kind),
        _Step("evaluate", (result.path,), (result.log_path, result.shared_log_path)),
    ]


def _training_step(name: str, training: Training) -> _Step:
    return _Step(name, (training.model_path, training.origin_path), (training.log_path,))


def _prediction_step(name: str, prediction: Prediction, kind: PredictionKind) -> _Step:
    files = (prediction.path(kind), prediction.origin_path(kind))
    return _Step(name, files, (prediction.log_path,))


def last_line(path: Path) -> str:
    """Return the last line of a log that says anything, cut to a readable length.

    Empty where the log is; a log that is not text is only said to be none.
    """
    tail = _tail(path)
    if "\0" in tail:
        return "(the log is not text)"
    # A progress bar writes over its own line by a carriage return.
    lines = (_readable(line) for line in reversed(re.split(r"[\r\n]+", tail)))
    last = next((line for line in lines if line), "")
    return last if len(last) <= _LONGEST_LINE else last[: _LONGEST_LINE - 1] + "…"


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - _TAIL_BYTES))
        return file.read().decode("utf-8", errors="replace")


def _readable(line: str) -> str:
    """Return a line without terminal codes, bars of progress and what cannot be printed."""
    plain = _PROGRESS_BAR.sub(" ", _TERMINAL_CODES.sub("", line))
    return " ".join("".join(c for c in plain if c.isprintable()).split())
