"""Whatever befalls a training, run again it ends with the very model of an undisturbed one."""

import multiprocessing
import os
import resource
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from comparing import assert_same_training, checkpoints
from experiment import Experiment, before_update, model, signal_at


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    return Experiment(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def whole(experiment: Experiment) -> Path:
    """The undisturbed training; of two steps a batch, so also that of two processes."""
    return experiment.finish("whole")


def assert_undisturbed(folder: Path, whole: Path) -> None:
    assert model(folder) == model(whole)
    assert_same_training(folder, whole)
    assert checkpoints(folder) == ["iter_00000006.pt", "iter_00000008.pt"]
    assert not list(folder.glob(".*"))


# --- kill -9 -----------------------------------------------------------------------------------


def die_while_writing(name: str) -> None:
    """Half of a file reaches the disk, then the process is gone."""
    replace = Path.replace

    def dying(path: Path, target: Path) -> Path:
        if target.name == name:
            with path.open("r+b") as stream:
                stream.truncate(path.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(path, target)

    Path.replace = dying  # type: ignore[assignment,method-assign]


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("iter_00000003.pt", []),
        ("iter_00000006.pt", ["iter_00000003.pt"]),
        ("model.safetensors", ["iter_00000006.pt", "iter_00000008.pt"]),
    ],
)
def test_killed_while_a_file_is_written(
    experiment: Experiment, whole: Path, name: str, left: list[str]
) -> None:
    cut = experiment.folder / name.replace(".", "_")
    children = experiment.start(cut.name, die_while_writing, name)
    assert children.wait() == [-signal.SIGKILL], children.output
    unfinished = list(cut.rglob(f".{name}.*.part"))
    assert len(unfinished) == 1
    assert [x for x in checkpoints(cut) if not x.startswith(".")] == left
    assert not (cut / "model.safetensors").exists()
    assert_undisturbed(experiment.finish(cut.name), whole)


def test_one_of_two_processes_is_killed(experiment: Experiment, whole: Path) -> None:
    """The other one says so in a line; torchrun would end it, too."""
    children = experiment.start("lost", signal_at, 4, [signal.SIGKILL], 1, count=2)
    assert children.wait() == [2, -signal.SIGKILL], children.output
    (line,) = children.told
    assert "another process of this training has ended" in line
    assert_undisturbed(experiment.finish("lost", count=2), whole)


# --- the GPU -----------------------------------------------------------------------------------


def fill_the_gpu() -> None:
    import torch

    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 1 has ...")


def test_a_gpu_whose_memory_does_not_suffice(experiment: Experiment) -> None:
    """A line says what to change, also where it is of another process than the first."""
    accident = (partial(before_update, of_rank=1), 4, fill_the_gpu)
    children = experiment.start("full_gpu", *accident, count=2)
    assert children.wait() == [2, 2], children.output
    (line,) = (line for line in children.told if "optimizer.images_per_step" in line)
    assert "Tried to allocate 2.00 GiB. GPU 1 has" in line
    assert "Traceback" not in children.output


# --- the disk ----------------------------------------------------------------------------------


def fill_the_disk() -> None:
    """No file can grow beyond 50 kB: the system's own error, and no right to a disk is needed."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))


@pytest.mark.parametrize("count", [1, 2])
def test_disk_full_at_a_checkpoint(experiment: Experiment, whole: Path, count: int) -> None:
    """One line, and the older checkpoint is as it was."""
    cut = experiment.folder / f"full{count}"
    children = experiment.start(cut.name, before_update, 4, fill_the_disk, count=count)
    assert children.wait() == [2] * count, children.output
    (line,) = children.told
    assert "iter_00000006.pt: cannot be written: File too large; free some space" in line
    assert "Traceback" not in children.output
    assert checkpoints(cut) == ["iter_00000003.pt"]
    assert_undisturbed(experiment.finish(cut.name, count=count), whole)


def test_truncated_checkpoint(experiment: Experiment, whole: Path) -> None:
    """The one before is taken, a line says so, and the broken one is kept under another name."""
    cut = experiment.folder / "truncated"
    assert experiment.start(cut.name, signal_at, 7, [signal.SIGKILL]).wait() == [-signal.SIGKILL]
    assert checkpoints(cut) == ["iter_00000003.pt", "iter_00000006.pt"]
    os.truncate(cut / "checkpoints/iter_00000006.pt", 10_000)
    children = experiment.start(cut.name)
    assert children.wait() == [0], children.output
    assert "iter_00000006.pt cannot be read" in children.output
    assert "trying the checkpoint before" in children.output
    (cut / "checkpoints/iter_00000006.pt.damaged").unlink()
    assert_undisturbed(cut, whole)


# --- the processes that load images ------------------------------------------------------------


def break_the_loader() -> None:
    """An error that nobody foresees, in a process that loads images, from some batch on."""
    from pointrend_repro.data import batches

    load = batches._Batches.__getitem__

    def broken(self: Any, batch: Any) -> Any:
        if batch.iteration >= 4:
            raise ValueError("broken in a worker")
        return load(self, batch)

    batches._Batches.__getitem__ = broken  # type: ignore[method-assign]


def test_an_error_of_the_loader_ends_the_training(tmp_path: Path) -> None:
    """Python ends the loader's processes, and would wait for ever for one that does not listen."""
    children = Experiment(tmp_path, workers=2).start("cut", break_the_loader)
    assert children.wait() == [1], children.output
    assert "broken in a worker" in children.output


def kill_a_loader() -> None:
    """As the system does where memory runs out."""
    (first, *_) = multiprocessing.active_children()
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    time.sleep(60)  # until the signal that it has ended


@pytest.mark.parametrize("count", [1, 2])
def test_a_killed_loader_is_one_line_and_costs_nothing(
    experiment: Experiment, whole: Path, count: int
) -> None:
    with_loaders = Experiment(experiment.folder, workers=2)
    name = f"killed_loader_{count}"
    accident = (partial(before_update, of_rank=count - 1), 4, kill_a_loader)
    children = with_loaders.start(name, *accident, count=count)
    assert children.wait() == [2] * count, children.output
    (line,) = (line for line in children.told if "a process that loads images was killed" in line)
    assert "signal: Killed" in line
    assert "Traceback" not in children.output
    assert_undisturbed(with_loaders.finish(name), whole)


# --- the clock ---------------------------------------------------------------------------------


def turn_the_clock_back() -> None:
    """A day at every look."""
    now = [1e9]

    def earlier() -> float:
        now[0] -= 86_400
        return now[0]

    time.time = earlier


def test_clock_going_backwards(experiment: Experiment, whole: Path) -> None:
    """Which checkpoint is the newest does not depend on when files say they were written."""
    cut = experiment.folder / "clock"
    assert experiment.start(cut.name, signal_at, 7, [signal.SIGKILL]).wait() == [-signal.SIGKILL]
    checkpoint = cut / "checkpoints"
    os.utime(checkpoint / "iter_00000003.pt", (4e9, 4e9))  # in the year 2096
    os.utime(checkpoint / "iter_00000006.pt", (1e8, 1e8))  # in 1973
    children = experiment.start(cut.name, both, turn_the_clock_back, nothing_before_iteration_6)
    assert children.wait() == [0], children.output
    assert_undisturbed(cut, whole)


def nothing_before_iteration_6() -> None:
    from pointrend_repro.training import loop

    update = loop.update

    def late(state: Any, *args: Any) -> Any:
        assert state.iteration >= 6
        return update(state, *args)

    loop.update = late


def both(*accidents: Any) -> None:
    for accident in accidents:
        accident()
