import contextlib
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
from pointrend_repro.training.saving import Saving


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
    message, kept = [record.getMessage() for record in caplog.records]
    assert "iter_00000020.pt cannot be read" in message
    assert "trying the checkpoint before" in message
    assert "\n" not in message
    assert kept == f"{tmp_path / 'iter_00000020.pt'}: kept as iter_00000020.pt.damaged"


def test_a_damaged_one_takes_no_readable_ones_place(tmp_path: Path) -> None:
    for iteration in (10, 20):
        save(tmp_path, iteration)
    truncate(tmp_path / "iter_00000020.pt")
    assert iteration_of(load(tmp_path)) == 10
    save(tmp_path, 25)
    truncate(tmp_path / "iter_00000025.pt")
    assert iteration_of(load(tmp_path)) == 10


def test_a_damaged_one_that_cannot_be_moved_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for iteration in (10, 20):
        save(tmp_path, iteration)
    truncate(tmp_path / "iter_00000020.pt")

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "rename", refuse)
    assert iteration_of(load(tmp_path)) == 10


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


@pytest.mark.parametrize("unread", ["", "checkpoints"])
@pytest.mark.parametrize("code", [errno.EACCES, errno.ESTALE])
def test_folder_that_cannot_be_listed_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unread: str, code: int
) -> None:
    """As a shared disk for a moment: none would be found, and the training begin anew."""
    folder = tmp_path / "checkpoints"
    save(folder, 10, training="mine" if unread else "another")

    def failing(real: Callable[..., Any]) -> Callable[..., Any]:
        def listed(path: Any = ".") -> Any:
            if Path(path) == tmp_path / unread:
                raise OSError(code, os.strerror(code))
            return real(path)

        return listed

    for name in ("listdir", "scandir"):
        monkeypatch.setattr(os, name, failing(getattr(os, name)))
    with pytest.raises(UserError, match=r"cannot be listed: .*; run the same") as told:
        load(folder)
    assert str(told.value).startswith(f"{tmp_path / unread}: ")


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
    assert "of other settings, data, seed or weights to start from; moved to" in message
    assert names(folder) == []
    assert names(tmp_path / "checkpoints.another") == ["iter_00000010.pt", "iter_00000020.pt"]
    save(folder, 5)
    assert iteration_of(load(folder)) == 5


def test_back_to_settings_of_before_finds_their_checkpoints(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With what tells of them: the log and samples that lie here are of the others."""
    folder, samples = tmp_path / "checkpoints", tmp_path / "samples/after_00000003.jpg"

    def work(training: str, iteration: int) -> None:
        save(folder, iteration, training)
        (tmp_path / "log.jsonl").write_text(training)
        samples.parent.mkdir(exist_ok=True)
        samples.write_text(training)
        (folder / "start.json").write_text(training)

    work("mine", 10)
    work("mine", 20)
    assert load_checkpoint(folder, training_digest="other") is None
    assert not (tmp_path / "log.jsonl").exists()
    assert not (folder / "start.json").exists()
    work("other", 5)
    with caplog.at_level(logging.WARNING):
        assert iteration_of(load(folder)) == 20
    said = caplog.records[-1].getMessage()
    assert said == f"{folder}.mine: of these settings and data; moved back to {folder}"
    assert names(folder) == ["iter_00000010.pt", "iter_00000020.pt", "start.json"]
    for file in (tmp_path / "log.jsonl", samples, folder / "start.json"):
        assert file.read_text() == "mine"
    assert names(tmp_path) == ["checkpoints", "checkpoints.other", "log.jsonl", "samples"]
    assert iteration_of(load_checkpoint(folder, training_digest="other")) == 5
    assert (tmp_path / "log.jsonl").read_text() == "other"


def test_what_no_longer_tells_of_them_is_removed_when_checkpoints_come_back(
    tmp_path: Path,
) -> None:
    """Aside since before the log was moved, too: a record must not name another's source."""
    folder = tmp_path / "checkpoints"
    save(tmp_path / "checkpoints.mine", 10)
    save(folder, 20, "other")
    (folder / "start.json").write_text("other")
    assert iteration_of(load(folder)) == 10
    assert not (folder / "start.json").exists()
    assert (tmp_path / "checkpoints.other/start.json").read_text() == "other"


@pytest.mark.parametrize("done", range(5))
@pytest.mark.parametrize("way", ["aside", "back"])
def test_moves_that_are_cut_off_lose_no_update(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, done: int
) -> None:
    folder = tmp_path / "checkpoints"
    for iteration in (10, 20):
        save(folder, iteration)
    (folder / "start.json").touch()
    if way == "back":
        assert load_checkpoint(folder, training_digest="other") is None
    moved = []
    replace = Path.replace

    def counted(path: Path, target: Path) -> Path:
        if len(moved) == done:
            raise KeyboardInterrupt
        moved.append(path)
        return replace(path, target)

    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr(Path, "replace", counted)
        load_checkpoint(folder, training_digest="other" if way == "aside" else "mine")
    assert iteration_of(load(folder)) == 20


def test_checkpoints_aside_of_other_data_stay_there(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    save(folder, 10, data_digest="masks1")
    assert load(folder, "masks2") is None
    save(folder, 5, data_digest="masks2")
    assert iteration_of(load(folder, "masks2")) == 5
    assert load(folder, "masks3") is None
    assert iteration_of(load(folder, "masks1")) == 10
    save(tmp_path / "checkpoints.mine2", 30)
    assert load(folder, "masks3") is None


def test_checkpoints_of_another_source_are_kept_aside(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"

    def of_source(source: str | None) -> dict[str, Any] | None:
        return load_checkpoint(folder, training_digest="mine", source_digest=source)

    save(folder, 10, source_digest="a")
    assert iteration_of(of_source(None)) == 10  # it is gone, and not needed
    assert iteration_of(of_source("a")) == 10
    assert of_source("b") is None
    assert names(tmp_path / "checkpoints.mine_a") == ["iter_00000010.pt"]
    save(folder, 20)  # of a version that did not note the source
    assert iteration_of(of_source("b")) == 20


def test_a_training_keeps_the_source_that_it_began_with(tmp_path: Path) -> None:
    """Though it went on while the source was away, or is of before sources were noted."""
    folder = tmp_path / "checkpoints"
    ours = {"training_digest": "mine"}
    save(folder, 10, source_digest="a")
    away = Saving(folder, ours)
    assert iteration_of(away.load(total=20)) == 10
    assert away.digests == {**ours, "source_digest": "a"}
    save(folder, 20)
    older = Saving(folder, {**ours, "source_digest": "b"})
    assert iteration_of(older.load(total=20)) == 20
    assert older.digests == ours


def test_damaged_checkpoints_of_other_data_need_not_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    save(folder, 10, data_digest="masks1")
    assert load(folder, "masks2") is None
    (aside,) = tmp_path.glob("checkpoints.*")
    (aside / "iter_00000010.pt").write_bytes(b"damaged")
    assert load(folder, "masks2") is None
    with pytest.raises(UserError, match="can be read"):
        load(folder, "masks1")


def test_others_may_read_it(tmp_path: Path) -> None:
    mask = os.umask(0o022)
    try:
        save(tmp_path, 10)
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "iter_00000010.pt").stat().st_mode) == 0o644
