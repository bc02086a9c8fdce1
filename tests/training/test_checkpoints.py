import errno
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pointrend_repro.base.errors import UserError
from pointrend_repro.training.checkpoints import load_checkpoint, save_checkpoint


def save(folder: Path, iteration: int, training: str = "mine", **more: str) -> None:
    weights = {"w": torch.full((2000,), float(iteration))}
    save_checkpoint(folder, iteration, {"training_digest": training, "model": weights} | more)


def load(folder: Path, data: str | None = None) -> dict[str, Any] | None:
    return load_checkpoint(folder, training_digest="mine", data_digest=data)


def iteration_of(state: dict[str, Any] | None) -> int:
    assert state is not None
    assert torch.equal(state["model"]["w"], torch.full((2000,), float(state["iteration"])))
    return state["iteration"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_no_folder_no_checkpoint(tmp_path: Path) -> None:
    assert load(tmp_path / "none") is None


def test_two_newest_stay(tmp_path: Path) -> None:
    for iteration in (5, 900, 1000, 99_999):
        save(tmp_path, iteration)
    assert names(tmp_path) == ["iter_00001000.pt", "iter_00099999.pt"]
    assert iteration_of(load(tmp_path)) == 99_999


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def garble(path: Path) -> None:
    path.write_bytes(os.urandom(5000))


def flip_a_bit_of_a_weight(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(torch.full((10,), 20.0).numpy().tobytes()) + 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [truncate, empty, garble, flip_a_bit_of_a_weight])
def test_damaged_newest_falls_back_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    save(tmp_path, 10)
    save(tmp_path, 20)
    damage(tmp_path / "iter_00000020.pt")
    with caplog.at_level(logging.WARNING):
        assert iteration_of(load(tmp_path)) == 10
    (message,) = [record.getMessage() for record in caplog.records]
    assert "iter_00000020.pt cannot be read" in message
    assert "trying the checkpoint before" in message
    assert "\n" not in message


def test_all_damaged_is_an_error(tmp_path: Path) -> None:
    """Days of work do not begin anew unless somebody says so: the disk may only fail for now."""
    for iteration in (10, 20):
        save(tmp_path, iteration)
        truncate(tmp_path / f"iter_{iteration:08d}.pt")
    with pytest.raises(UserError, match="none of its 2 checkpoints can be read") as told:
        load(tmp_path)
    assert str(told.value).startswith(f"{tmp_path}: ")
    assert "\n" not in str(told.value)
    assert len(names(tmp_path)) == 2


def test_what_was_just_written_stays(tmp_path: Path) -> None:
    """Even beside files of later iterations, as of a damaged checkpoint before."""
    for iteration in (100, 200, 5):
        save(tmp_path, iteration)
    assert names(tmp_path) == ["iter_00000005.pt", "iter_00000200.pt"]


def test_checkpoints_of_other_data_are_kept_aside(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    save(folder, 10, data_digest="masks1")
    assert iteration_of(load(folder, "masks1")) == 10
    assert load(folder, "masks2") is None
    assert names(tmp_path / "checkpoints.mine_masks1") == ["iter_00000010.pt"]
    save(folder, 10)  # of a version that did not note the data
    assert iteration_of(load(folder, "masks2")) == 10


def test_unfinished_write_is_ignored(tmp_path: Path) -> None:
    save(tmp_path, 10)
    whole = (tmp_path / "iter_00000010.pt").read_bytes()
    (tmp_path / ".iter_00000020.pt.0a1b2c3d.part").write_bytes(whole[: len(whole) // 2])
    assert iteration_of(load(tmp_path)) == 10


def test_write_that_fails_leaves_the_older_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, 10)
    save(tmp_path, 20)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"iter_00000030\.pt: cannot be written: No space left"):
        save(tmp_path, 30)
    assert names(tmp_path) == ["iter_00000010.pt", "iter_00000020.pt"]
    assert iteration_of(load(tmp_path)) == 20


def test_checkpoints_of_another_training_are_kept_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "checkpoints"
    save(folder, 10, training="another")
    save(folder, 20, training="another")
    with caplog.at_level(logging.WARNING):
        assert load(folder) is None
    (message,) = [record.getMessage() for record in caplog.records]
    assert "of other settings, data or seed; moved to" in message
    assert names(folder) == []
    assert names(tmp_path / "checkpoints.another") == ["iter_00000010.pt", "iter_00000020.pt"]
    save(folder, 5)
    assert iteration_of(load(folder)) == 5


def test_others_may_read_it(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        save(tmp_path, 10)
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "iter_00000010.pt").stat().st_mode) == 0o644
