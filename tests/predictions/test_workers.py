"""What goes wrong in a process that reads or encodes images."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from pointrend_repro.base.errors import UserError
from pointrend_repro.predictions.image_steps import Steps, Timing, predict_images

Number = SimpleNamespace


def numbers() -> list[Number]:
    return [Number(path=Path(f"{k}.jpg"), value=k) for k in range(6)]


def read(record: Number) -> int:
    return record.value


def found(_: Number, seen: int) -> int:
    return seen


def encoded(value: int) -> int:
    return value


def unreadable(record: Number) -> int:
    if record.value == 3:
        raise UserError(f"{record.path}: is no image")
    return record.value


def no_disk(record: Number) -> int:
    if record.value == 3:
        raise OSError("stale file handle")
    return record.value


def killed(record: Number) -> int:
    if record.value == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return record.value


def no_memory(value: int) -> int:
    if value == 3:
        raise MemoryError
    return value


def predict(read: Callable[..., Any], encode: Callable[..., Any], workers: int) -> list[int]:
    steps = Steps(read, found, encode)
    return list(predict_images(steps, numbers(), workers=workers, timing=Timing()))


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize(
    ("read", "encode", "told"),
    [
        (unreadable, encoded, r"^3\.jpg: is no image$"),
        (no_disk, encoded, r"^3\.jpg: stale file handle$"),
        (read, no_memory, r"^3\.jpg: no memory left$"),
    ],
)
def test_an_error_names_the_image(read: Any, encode: Any, told: str, workers: int) -> None:
    with pytest.raises(UserError, match=told):
        predict(read, encode, workers)
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_worker_is_told_in_one_line(workers: int) -> None:
    with pytest.raises(UserError, match=r"^\d\.jpg: a worker process was killed"):
        predict(killed, encoded, workers)
    assert multiprocessing.active_children() == []


def test_a_bug_keeps_its_traceback_and_names_the_image() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        predict(divided, encoded, 1)
    assert caught.value.__notes__ == ["image: 0.jpg"]


def divided(record: Number) -> float:
    return 1 / record.value


def test_who_stops_early_leaves_no_worker() -> None:
    images = predict_images(Steps(read, found, encoded), numbers(), workers=2, timing=Timing())
    assert next(images) == 0
    images.close()
    assert multiprocessing.active_children() == []


def slowly(folder: str) -> None:
    """Predict without end, after noting which processes do so."""

    # As in a shell: what runs in the background of a script ignores it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def find(_: Number, seen: int) -> int:
        pids = [str(each.pid) for each in multiprocessing.active_children()]
        Path(folder, "pids.part").write_text(" ".join(pids))
        Path(folder, "pids.part").rename(Path(folder, "pids"))
        time.sleep(60)
        return seen

    list(predict_images(Steps(read, find, encoded), numbers(), workers=2, timing=Timing()))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_the_process_that_a_signal_ends(number: int, tmp_path: Path) -> None:
    main = multiprocessing.get_context("fork").Process(target=slowly, args=(str(tmp_path),))
    main.start()
    wait_for((tmp_path / "pids").exists)
    pids = list(map(int, (tmp_path / "pids").read_text().split()))
    assert len(pids) == 2
    assert main.pid is not None
    os.kill(main.pid, number)
    main.join(60)
    assert main.exitcode
    wait_for(lambda: not any(map(is_running, pids)))


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for(happened: Callable[[], bool]) -> None:
    for _ in range(600):
        if happened():
            return
        time.sleep(0.1)
    raise AssertionError("has not happened in a minute")
