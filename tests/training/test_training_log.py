import errno
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pointrend_repro.base.errors import UserError
from pointrend_repro.training.log import TrainingLog


def log_some(folder: Path, iterations: range, *, start: int, value: float = 0.0) -> None:
    with TrainingLog(folder, start) as log:
        for iteration in iterations:
            log.write(iteration, {"loss": value + iteration})


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_one_line_of_json_an_iteration(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    log_some(folder, range(3), start=0)
    assert lines(folder) == [{"iteration": i, "loss": float(i)} for i in range(3)]


def test_lines_are_on_disk_at_once(tmp_path: Path) -> None:
    with TrainingLog(tmp_path, 0) as log:
        log.write(0, {"loss": 1.0})
        assert lines(tmp_path) == [{"iteration": 0, "loss": 1.0}]


def test_continuing_drops_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    log_some(tmp_path, range(6), start=0)
    log_some(tmp_path, range(4, 8), start=4, value=100.0)
    assert [line["iteration"] for line in lines(tmp_path)] == list(range(8))
    assert [line["loss"] for line in lines(tmp_path)] == [0, 1, 2, 3, 104, 105, 106, 107]


def test_starting_afresh_drops_all(tmp_path: Path) -> None:
    log_some(tmp_path, range(6), start=0)
    log_some(tmp_path, range(0), start=0)
    assert lines(tmp_path) == []


@pytest.mark.parametrize(
    "tail",
    [
        b'{"iteration": 3, "lo',
        b"\0\0\0\0",
        b"\xff\xfe",
        b"5\n",
        b'{"loss": 3.0}\n',
        b"[" * 200_000,
        b'{"iteration": ' + b"1" * 5000 + b"}",
    ],
    ids=["cut", "zeros", "no UTF-8", "number", "no iteration", "deep", "digits"],
)
def test_broken_tail_of_a_killed_process_is_dropped(tmp_path: Path, tail: bytes) -> None:
    log_some(tmp_path, range(3), start=0)
    with (tmp_path / "log.jsonl").open("ab") as stream:
        stream.write(tail)
    log_some(tmp_path, range(3, 5), start=3)
    assert [line["iteration"] for line in lines(tmp_path)] == list(range(5))


def test_line_that_lacks_only_its_end_is_kept(tmp_path: Path) -> None:
    log_some(tmp_path, range(3), start=0)
    path = tmp_path / "log.jsonl"
    path.write_text(path.read_text().rstrip("\n"))
    log_some(tmp_path, range(3, 4), start=3)
    assert [line["iteration"] for line in lines(tmp_path)] == [0, 1, 2, 3]


def test_curves_hold_the_same_numbers_once(tmp_path: Path) -> None:
    log_some(tmp_path, range(6), start=0)
    log_some(tmp_path, range(4, 8), start=4, value=100.0)
    curves = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in curves.Scalars("loss")] == [
        (line["iteration"], line["loss"]) for line in lines(tmp_path)
    ]


def test_kill_while_the_log_is_cut_back_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_some(tmp_path, range(3), start=0)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        TrainingLog(tmp_path, 2)
    assert [line["iteration"] for line in lines(tmp_path)] == [0, 1, 2]


def test_disk_full_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class FullDisk(io.StringIO):
        def flush(self) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with TrainingLog(tmp_path, 0) as log:
        monkeypatch.setattr(log, "_lines", FullDisk())
        with pytest.raises(UserError, match=r"log\.jsonl: cannot be written: No space left"):
            log.write(0, {"loss": 1.0})


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=os.strerror(errno.ENOTDIR)):
        TrainingLog(tmp_path / "file" / "folder", 0)
