"""Trackers: one written here, and what is refused before a training begins."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, get_args

import numpy as np
import pytest
from accelerate import tracking

from pointrend_repro.base.errors import UserError
from pointrend_repro.settings.schedule import TRACKERS, Tracker
from pointrend_repro.training import loop, saving
from pointrend_repro.training.log import TrainingLog
from pointrend_repro.training.trackers import PROJECT, Trackers, require_trackers
from small_experiment import CocoBuilder, read_train_split, small_settings

FOUR = {"total_iters": 4, "lr_drop_iters": []}


class Run:
    """What a tracker calls a run."""

    def __init__(self, name: str) -> None:
        self.id = name


class Recorder(tracking.GeneralTracker):
    """Stands for `wandb`: keeps what it is told, and makes up an id if it is given none."""

    name = "wandb"
    requires_logging_directory = False
    main_process_only = False
    begun: ClassVar[list["Recorder"]] = []

    def __init__(self, project: str, /, **arguments: Any) -> None:
        super().__init__()
        self.project, self.arguments = project, arguments
        self.told: list[tuple[Any, ...]] = []
        self.begun.append(self)

    def start(self) -> None:
        self._run = Run(self.arguments["id"] or f"run{len(self.begun)}")

    @property
    def tracker(self) -> Run:
        return self._run

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.told.append(("settings", values))

    def log(self, values: dict[str, Any], step: int | None = None, **_: Any) -> None:
        self.told.append((step, values))

    def log_images(self, values: dict[str, Any], step: int | None = None, **_: Any) -> None:
        self.told.append((step, {name: len(images) for name, images in values.items()}))

    def finish(self) -> None:
        self.told.append(("finish",))


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> type[Recorder]:
    monkeypatch.setattr(Recorder, "begun", [])
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "wandb", Recorder)
    monkeypatch.setattr(tracking, "_available_trackers", ["wandb"])
    return Recorder


def begin(folder: Path, digest: str = "mine") -> Trackers:
    return Trackers(["wandb"], folder, digest, {"optimizer": {"base_lr": 0.1, "steps": [1, 2]}})


def test_a_tracker_gets_what_the_log_gets(recorder: type[Recorder], tmp_path: Path) -> None:
    folder = tmp_path / "preset/coco/variant/trial0"
    with TrainingLog(folder, 0, begin(folder)) as log:
        log.write(0, {"loss": 2.0})
        log.show(1, np.zeros((8, 9, 3), np.uint8))
        log.write(1, {"loss": 1.0})
    (run,) = recorder.begun
    assert (run.project, run.arguments["name"]) == (PROJECT, "preset/coco/variant/trial0")
    assert run.told == [
        ("settings", {"optimizer.base_lr": 0.1, "optimizer.steps": "[1, 2]"}),
        (0, {"loss": 2.0}),
        (0, {"samples": 1}),
        (1, {"loss": 1.0}),
        ("finish",),
    ]


def test_a_training_that_continues_continues_its_run(
    recorder: type[Recorder], tmp_path: Path
) -> None:
    begin(tmp_path)
    begin(tmp_path)
    begin(tmp_path, "of other settings")
    (tmp_path / "checkpoints/trackers.json").write_text("{")
    begin(tmp_path)
    assert [run.tracker.id for run in recorder.begun] == ["run1", "run1", "run3", "run4"]
    assert {run.arguments["resume"] for run in recorder.begun} == {"allow"}


@pytest.mark.parametrize("name", get_args(Tracker))
def test_runs_are_named_after_their_training(
    name: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the arguments that accelerate hands to the tracker's own package, or after its start."""

    class Named(Recorder):
        tracker = SimpleNamespace(id="1", info=SimpleNamespace(run_id="1"), name="", set_name=None)

        def start(self) -> None:
            self.tracker.set_name = lambda title: setattr(self.tracker, "name", title)

    Named.name = name
    mlflow = SimpleNamespace(set_experiment=lambda _: None)
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, name, Named)
    folder = tmp_path / "preset/coco/variant/trial0"
    Trackers([name], folder, "mine", {})
    run = Named.begun.pop()
    told = [*run.arguments.values(), run.tracker.name]
    assert (str(folder / "dvclive") if name == "dvclive" else "preset/coco/variant/trial0") in told


def test_a_killed_training_tells_one_run_every_update(
    recorder: type[Recorder],
    tmp_path: Path,
    coco_builder: CocoBuilder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dataset = read_train_split(coco_builder(train_images=3))
    settings = small_settings(run={"trackers": ["wandb"]}, schedule=FOUR)

    def train() -> None:
        loop.train(settings, dataset, seed=0, folder=tmp_path, device="cpu")

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(saving, "save_checkpoint", killed)
        with pytest.raises(KeyboardInterrupt):
            train()
    train()
    first, second = recorder.begun
    assert first.tracker.id == second.tracker.id
    for run, steps in ((first, [0, 1, 2]), (second, [0, 1, 2, 3])):
        assert [told[0] for told in run.told] == ["settings", *steps, "finish"]
    assert first.told[0] == second.told[0]
    told = first.told[0][1]
    assert told["optimizer.base_lr"] == 0.01
    assert not any(key.startswith("run.") for key in told)


def test_a_tracker_that_fails_ends_no_training(
    recorder: type[Recorder],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError("no route\nto host")

    with TrainingLog(tmp_path, 0, begin(tmp_path)) as log:
        monkeypatch.setattr(recorder, "log", fail)
        log.write(0, {"loss": 2.0})
        log.write(1, {"loss": 1.0})
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2
    assert caplog.messages == ["wandb: no route to host; the training goes on without it"]


def test_a_tracker_that_does_not_start_is_one_line(
    recorder: type[Recorder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("No API key configured.\nUse `wandb login`")

    monkeypatch.setattr(recorder, "start", fail)
    with pytest.raises(UserError, match=r"^run\.trackers: wandb does not start: No API key .*`$"):
        begin(tmp_path)


def test_a_package_that_is_missing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "_available_trackers", [])
    with pytest.raises(UserError, match=r"comet_ml is not installed; pip install comet-ml, or"):
        require_trackers(["comet_ml"])
    require_trackers([])


def test_a_name_that_does_not_exist_is_refused_with_the_settings() -> None:
    with pytest.raises(ValueError, match=r"run\.trackers\.0\n.*'wandb'"):
        small_settings(run={"trackers": ["wandbb"]})


def test_names_are_those_of_accelerate() -> None:
    assert get_args(Tracker) == tuple(TRACKERS)
    assert {*TRACKERS, "tensorboard"} == set(tracking.LOGGER_TYPE_TO_CLASS)


def test_asking_for_none_leaves_no_file(tmp_path: Path) -> None:
    Trackers([], tmp_path, "mine", {}).finish()
    assert list(tmp_path.iterdir()) == []


def test_ids_lie_beside_the_checkpoints(recorder: type[Recorder], tmp_path: Path) -> None:
    begin(tmp_path)
    noted = json.loads((tmp_path / "checkpoints/trackers.json").read_text())
    assert noted == {"training_digest": "mine", "runs": {"wandb": "run1"}}
