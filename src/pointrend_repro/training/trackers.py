"""Trackers of experiments, such as Weights & Biases, through accelerate; none unless asked for."""

import importlib
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker, get_available_trackers
from numpy.typing import NDArray

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json, write_json
from pointrend_repro.settings.schedule import TRACKERS, Tracker

PROJECT = "pointrend-repro"

# Beside the checkpoints: who removes these to begin anew removes the runs' ids, too.
_RUNS = "checkpoints/trackers.json"
_log = logging.getLogger(__name__)


def require_trackers(names: Sequence[Tracker]) -> None:
    """Refuse a tracker whose package is not installed.

    Raises:
        UserError: one is not.
    """
    for name in names:
        if name not in get_available_trackers():
            raise UserError(
                f"run.trackers: {name} is not installed; pip install {TRACKERS[name]}, or leave it "
                "out of run.trackers"
            )


class Trackers:
    """The runs of one training in its trackers, in process 0.

    A training that continues from its checkpoint continues its runs in `wandb`, `mlflow` and
    `dvclive`; in other trackers it begins further ones. After an error, such as a server out of
    reach, the training goes on without that tracker.

    Args:
        names: of the trackers.
        folder: of the training.
        training_digest: runs are continued by the training with this digest only.
        settings: as JSON values; the runs show them.

    Raises:
        UserError: a tracker does not start.
    """

    def __init__(
        self,
        names: Sequence[Tracker],
        folder: Path,
        training_digest: str,
        settings: Mapping[str, Any],
    ) -> None:
        self._begun: list[GeneralTracker] = []
        runs = _noted_runs(folder, training_digest)
        for name in names:
            tracker = _start(
                name, _title(folder), _arguments(name, folder, runs.get(name)), settings
            )
            self._begun.append(tracker)
            run = _run_of(tracker)
            if run is not None:
                runs[name] = run
        if runs:
            write_json(folder / _RUNS, {"training_digest": training_digest, "runs": runs})

    def log(self, iteration: int, numbers: dict[str, float]) -> None:
        """Log the numbers of one iteration."""
        self._tell(lambda tracker: tracker.log(numbers, step=iteration))

    def show(self, iteration: int, picture: NDArray[np.uint8], file: Path) -> None:
        """Show a picture (H, W, 3), which lies in `file`, to those that take pictures."""
        self._tell(lambda tracker: _show(tracker, iteration, picture, file))

    def finish(self) -> None:
        """End the runs; they can be continued."""
        self._tell(lambda tracker: tracker.finish())

    def _tell(self, do: Callable[[GeneralTracker], None]) -> None:
        for tracker in list(self._begun):
            try:
                do(tracker)
            except Exception as error:  # of any library; days of training are worth more
                self._begun.remove(tracker)
                _log.warning(
                    "%s: %s; the training goes on without it", tracker.name, _in_one_line(error)
                )


def _start(
    name: Tracker, title: str, arguments: Mapping[str, Any], settings: Mapping[str, Any]
) -> GeneralTracker:
    try:
        if name == "mlflow":
            # accelerate looks for it and then makes it: of two trainings at once, one would fail.
            project = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
            importlib.import_module("mlflow").set_experiment(project)
        tracker: GeneralTracker = LOGGER_TYPE_TO_CLASS[name](PROJECT, **arguments)
        tracker.start()
        # These two take no name before.
        if name == "aim":
            tracker.tracker.name = title
        if name == "comet_ml":
            tracker.tracker.set_name(title)
        tracker.store_init_configuration(_flat(settings))
    except Exception as error:  # of any library: no account, no server, no right to write
        raise UserError(f"run.trackers: {name} does not start: {_in_one_line(error)}") from None
    return tracker


def _arguments(name: Tracker, folder: Path, run: str | None) -> dict[str, Any]:
    """Return what begins a run, or continues the one of this id."""
    title = _title(folder)
    if name == "wandb":
        # Its copy of standard output would hold every state of the progress bar.
        quiet = {"console": "off"}
        return {"id": run, "resume": "allow", "name": title, "dir": folder, "settings": quiet}
    if name == "mlflow":
        return {"run_id": run, "run_name": title}
    if name == "dvclive":  # else each training would empty the folder of the one before
        return {"dir": str(folder / "dvclive"), "resume": run is not None}
    names = {"clearml": "task_name", "swanlab": "experiment_name", "trackio": "name"}
    return {names[name]: title} if name in names else {}


def _title(folder: Path) -> str:
    """Return a run's name: the folder's last four are preset, data set, variant and trial."""
    return "/".join(folder.absolute().parts[-4:])


def _run_of(tracker: GeneralTracker) -> str | None:
    """Return the id of a run that can be continued."""
    if tracker.name == "wandb":
        return str(tracker.tracker.id)
    if tracker.name == "mlflow":
        return str(tracker.tracker.info.run_id)
    return "its folder" if tracker.name == "dvclive" else None


def _noted_runs(folder: Path, training_digest: str) -> dict[str, str]:
    try:
        noted = read_json(folder / _RUNS)
        if noted["training_digest"] == training_digest:
            return {str(name): str(run) for name, run in noted["runs"].items()}
    except (UserError, TypeError, KeyError, AttributeError):
        pass  # none yet, or damaged: a new run begins
    return {}


def _show(tracker: GeneralTracker, iteration: int, picture: NDArray[np.uint8], file: Path) -> None:
    if tracker.name == "mlflow":
        tracker.log_artifact(str(file), artifact_path="samples")
    elif tracker.name in {"aim", "clearml"}:
        tracker.log_images({"samples": picture}, step=iteration)
    elif hasattr(tracker, "log_images"):
        tracker.log_images({"samples": [picture]}, step=iteration)


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return settings by their dotted keys, lists as text: trackers take no others."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{before}{key}.")
        else:
            flat[before + key] = json.dumps(value) if isinstance(value, list) else value
    return flat


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
