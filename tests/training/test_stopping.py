"""A training that is told to stop saves, says so, exits with 75, and loses nothing."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from comparing import assert_same_training, checkpoints, log_lines
from experiment import Experiment, before_update, model, signal_at

from pointrend_repro.training import signals
from pointrend_repro.training.signals import STOP_SIGNALS, StopSignals


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stopping")


@pytest.fixture(scope="module")
def experiment(folder: Path) -> Experiment:
    return Experiment(folder)


@pytest.fixture(scope="module")
def whole(experiment: Experiment) -> Path:
    """The training that nothing befalls; of two steps a batch, so also that of two processes."""
    return experiment.finish("whole")


@pytest.mark.parametrize(
    ("numbers", "name"),
    [
        ([signal.SIGTERM], "SIGTERM"),
        ([signal.SIGUSR1], "SIGUSR1"),
        ([signal.SIGINT, signal.SIGINT], "SIGINT"),
        ([signal.SIGUSR1, signal.SIGTERM, signal.SIGTERM], "SIGUSR1"),
    ],
)
def test_one_process(experiment: Experiment, whole: Path, numbers: list[int], name: str) -> None:
    cut = experiment.folder / f"cut{len(numbers)}{name}"
    stopped = experiment.start(cut.name, signal_at, 4, numbers)
    assert stopped.wait() == [75], stopped.output
    assert stopped.told == [
        f"pointrend-repro: stopped by {name} after iteration 5; run again to continue"
    ]
    assert checkpoints(cut) == ["iter_00000003.pt", "iter_00000005.pt"]
    assert len(log_lines(cut)) == 5
    assert not (cut / "model.safetensors").exists()
    experiment.finish(cut.name)
    assert_same_training(cut, whole)
    assert model(cut) == model(whole)


def test_all_processes_stop_at_the_iteration_of_the_one_that_was_told(
    experiment: Experiment, whole: Path
) -> None:
    stopped = experiment.start("cut_of_two", signal_at, 4, [signal.SIGUSR1], 1, count=2)
    assert stopped.wait() == [75, 75], stopped.output
    (line,) = stopped.told
    assert line.endswith("stopped by SIGUSR1 after iteration 5; run again to continue")
    cut = experiment.finish("cut_of_two", count=2)
    assert_same_training(cut, whole)
    assert model(cut) == model(whole)


def signal_while_the_data_set_is_read() -> None:
    from pointrend_repro.data import training_splits

    read = training_splits.read_coco

    def signalled(*args: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return read(*args)

    training_splits.read_coco = signalled


def test_signal_before_the_first_iteration_loses_nothing(
    experiment: Experiment, whole: Path
) -> None:
    cut = experiment.folder / "early"
    assert experiment.start("early", signal_at, 4, [signal.SIGTERM]).wait() == [75]
    before = checkpoints(cut)
    stopped = experiment.start("early", signal_while_the_data_set_is_read)
    assert stopped.wait() == [75], stopped.output
    assert "stopped by SIGTERM after iteration 5;" in stopped.told[0]
    assert checkpoints(cut) == before
    assert model(experiment.finish("early")) == model(whole)


def test_signal_in_the_last_iteration_lets_it_finish(experiment: Experiment) -> None:
    children = experiment.start("out", signal_at, 7, [signal.SIGTERM])
    assert children.wait() == [0], children.output
    assert (experiment.folder / "out" / "model.origin.json").is_file()


def test_loader_workers_survive_what_signals_the_whole_job(folder: Path, whole: Path) -> None:
    """Slurm signals every process of a step; one that dies would end the training by an error."""
    experiment = Experiment(folder, workers=2)
    stopped = experiment.start("workers", before_update, 4, signal_whole_job)
    assert stopped.wait() == [75], stopped.output
    assert "stopped by SIGUSR1 after iteration 5;" in stopped.told[0]
    assert model(experiment.finish("workers")) == model(whole)


def signal_whole_job() -> None:
    workers = multiprocessing.active_children()
    assert len(workers) == 2
    for pid in [*(worker.pid for worker in workers), os.getpid()]:
        assert pid is not None
        os.kill(pid, signal.SIGUSR1)
        os.kill(pid, signal.SIGTERM)


def test_handlers_are_those_of_before_afterwards() -> None:
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    with StopSignals() as stop:
        assert stop.received == 0
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.received == signal.SIGUSR1  # the first
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before


def test_who_cannot_wait_may_press_ctrl_c_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with StopSignals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)  # as torchrun sends it on
        assert stop.received == signal.SIGINT
        monkeypatch.setattr(signals, "_AGAIN_S", -1)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def save_as_soon_as_time_has_passed() -> None:
    from pointrend_repro.training import saving

    saving._OLD_S = -1


@pytest.mark.parametrize("count", [1, 2])
def test_slow_updates_are_saved_by_the_clock(
    experiment: Experiment, whole: Path, count: int
) -> None:
    """Not only after as many updates as the settings say: here 3, 6 and 8 of them."""
    name = f"by_the_clock_{count}"
    children = experiment.start(name, save_as_soon_as_time_has_passed, count=count)
    assert children.wait() == [0] * count, children.output
    folder = experiment.folder / name
    assert checkpoints(folder) == ["iter_00000007.pt", "iter_00000008.pt"]
    assert_same_training(folder, whole)
    assert model(folder) == model(whole)


# --- under torchrun itself ---------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_torchrun_hands_its_signal_on(folder: Path, number: signal.Signals) -> None:
    """It forwards SIGTERM by itself, SIGUSR1 when it is told to; its own exit code is always 1."""
    experiment = Experiment(folder, total_iters=60)
    whole = experiment.folder / "whole_of_60"
    if not whole.exists():
        experiment.finish(whole.name)
    cut = folder / number.name
    process = start_torchrun(experiment.arguments(cut.name), folder / f"{number.name}.txt")
    output = (folder / f"{number.name}.txt").read_text
    try:
        deadline = time.monotonic() + 120
        while not (cut / "log.jsonl").is_file() or len(log_lines(cut)) < 4:
            assert process.poll() is None, output()
            assert time.monotonic() < deadline, output()
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait(120) == 1
    finally:
        process.kill()
    (line,) = [x for x in output().splitlines() if x.startswith("pointrend-repro:")]
    found = re.search(r"stopped by (\w+) after iteration (\d+); run again to continue$", line)
    assert found is not None
    assert found[1] == number.name
    assert checkpoints(cut)[-1] == f"iter_{int(found[2]):08d}.pt"
    assert len(log_lines(cut)) == int(found[2]) < 60
    experiment.finish(cut.name, count=2)
    assert model(cut) == model(whole)


def start_torchrun(arguments: list[str], output: Path) -> subprocess.Popen[bytes]:
    bin_dir = Path(sys.executable).parent
    launch = [str(bin_dir / "torchrun"), "--standalone", "--no-python", "--nproc-per-node=2"]
    environment = os.environ | {
        "PET_SIGNALS_TO_HANDLE": "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1",
        "PET_SHUTDOWN_TIMEOUT": "100",
        "PATH": f"{bin_dir}:{os.environ['PATH']}",
    }
    with output.open("w") as stream:
        return subprocess.Popen(
            [*launch, "pointrend-repro", *arguments],
            env=environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
