import errno
import json
import os
import resource
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch

from limits import lowered
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import (
    atomic_path,
    read_json,
    remove_leftovers,
    write_json,
    write_text,
)
from pointrend_repro.base.folders import atomic_folder


@pytest.fixture
def umask() -> Iterator[None]:
    old = os.umask(0o027)
    yield
    os.umask(old)


@pytest.fixture
def small_files_only() -> Iterator[None]:
    """No file of this process can grow beyond 20 kB: a real failure to write (EFBIG)."""
    with lowered(resource.RLIMIT_FSIZE, 20_000):
        yield


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_file_appears_whole_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "text"
    with atomic_path(path) as part:
        part.write_text("half")
        assert part.parent == path.parent  # a rename across disks would not be atomic
        assert not path.exists()
    assert path.read_text() == "half"
    assert names(path.parent) == ["text"]


@pytest.mark.parametrize("letter", ["a", "\u65e5"])
def test_names_as_long_as_a_disk_allows(tmp_path: Path, letter: str) -> None:
    name = letter * (255 // len(letter.encode()))
    write_text(tmp_path / name, "file")
    with atomic_folder(tmp_path / "inside" / name) as part:
        write_text(part / "text", "x")
    assert sorted(names(tmp_path)) == sorted([name, "inside"])
    assert names(tmp_path / "inside") == [name]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("old", [None, "old"])
def test_nothing_half_written_is_left(
    tmp_path: Path, error: type[BaseException], old: str | None
) -> None:
    path = tmp_path / "text"
    if old is not None:
        path.write_text(old)

    def fail() -> None:
        with atomic_path(path) as part:
            part.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path) == ([] if old is None else ["text"])
    assert old is None or path.read_text() == old


def test_permissions_follow_the_umask(tmp_path: Path, umask: None) -> None:
    write_text(tmp_path / "text", "x")
    with atomic_path(tmp_path / "model") as part:
        safetensors.torch.save_file({"w": torch.zeros(2)}, part)
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.umask(0o027) == 0o027


def test_concurrent_writers_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, [0] * 5000)
    stop = threading.Event()

    def write(number: int) -> None:
        while not stop.is_set():
            write_json(path, [number] * 5000)

    writers = [threading.Thread(target=write, args=(number,)) for number in (1, 2, 3)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(50):
            value = read_json(path)
            assert value == [value[0]] * 5000
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert names(tmp_path) == ["value.json"]


def test_real_failure_of_the_disk_is_one_line(tmp_path: Path, small_files_only: None) -> None:
    path = tmp_path / "text"
    path.write_text("old")
    with pytest.raises(UserError) as told:
        write_text(path, "x" * 100_000)
    assert str(told.value) == (
        f"{path}: cannot be written: File too large; free some space and run the same command again"
    )
    assert path.read_text() == "old"
    assert names(tmp_path) == ["text"]


def test_real_failure_under_safetensors_is_one_line(tmp_path: Path, small_files_only: None) -> None:
    def save() -> None:
        with atomic_path(tmp_path / "model") as part:
            safetensors.torch.save_file({"w": torch.zeros(10_000)}, part)

    with pytest.raises(UserError, match="model: cannot be written: File too large"):
        save()
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, "No space left on device; free some space"),
        (errno.EDQUOT, "quota exceeded; free some space"),
        (errno.EROFS, "Read-only file system; choose another place"),
        (errno.EACCES, "Permission denied; choose another place"),
    ],
)
def test_errors_of_the_system_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, advice: str
) -> None:
    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError, match=advice) as told:
        write_text(tmp_path / "text", "x")
    assert str(told.value).startswith(f"{tmp_path / 'text'}: cannot be written: ")
    assert names(tmp_path) == []


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=r"cannot be written: .*; choose another place"):
        write_text(tmp_path / "file" / "text", "x")
    with pytest.raises(UserError, match="Is a directory; choose another place"):
        write_text(tmp_path / "folder", "x")
    with pytest.raises(UserError, match="cannot be written"):
        write_text(Path("/"), "x")
    assert sorted(names(tmp_path)) == ["file", "folder"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_permission(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    with pytest.raises(UserError, match="Permission denied; choose another place"):
        write_text(folder / "text", "x")


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    def fail() -> None:
        with atomic_path(tmp_path / "text"):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()


def test_json_goes_there_and_back(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, None, True], "ä": "ö\n"}
    write_json(tmp_path / "value.json", value)
    assert read_json(tmp_path / "value.json") == value
    assert (tmp_path / "value.json").read_text().endswith("}\n")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_json_has_no_nan(tmp_path: Path, number: float) -> None:
    write_json(tmp_path / "value.json", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "value.json", {"AP": number})
    assert read_json(tmp_path / "value.json") == 1


def test_json_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    with pytest.raises(UserError, match="no such file"):
        read_json(path)
    for content in (json.dumps([1] * 99).encode()[:-5], b"\xff\xfe{}", b""):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"value\.json: not valid JSON .* truncated") as told:
            read_json(path)
        assert "\n" not in str(told.value)
    with pytest.raises(UserError, match="is a folder"):
        read_json(tmp_path)
    with pytest.raises(UserError, match="cannot be read: Not a directory"):
        read_json(path / "below")


def test_folder_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    folder = tmp_path / "below" / "labels"
    for content in ("old", "new"):
        with atomic_folder(folder) as part:
            assert not (part / "a.txt").exists()
            (part / "a.txt").write_text(content)
            assert not folder.exists() or (folder / "a.txt").read_text() == "old"
        assert (folder / "a.txt").read_text() == content
        assert [path.name for path in folder.parent.iterdir()] == ["labels"]


def test_full_disk_leaves_the_older_folder(tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    with atomic_folder(folder) as part:
        (part / "a.txt").write_text("old")

    def fill() -> None:
        with atomic_folder(folder) as part:
            (part / "a.txt").write_text("new")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(UserError, match="labels: cannot be written: No space left on device"):
        fill()
    assert (folder / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["labels"]


def make_folder(path: Path, content: str) -> None:
    with atomic_folder(path) as part:
        (part / "a.txt").write_text(content)


def test_rename_that_fails_leaves_the_older_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "labels"
    make_folder(folder, "old")
    rename = Path.rename

    def failing(path: Path, target: Path) -> Path:
        if path.suffix == ".part":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(UserError, match="labels: cannot be written: Input/output error"):
        make_folder(folder, "new")
    assert (folder / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["labels"]


def test_files_of_a_folder_are_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a power failure leaves a whole folder of empty files."""
    synced = []

    def sync(number: int) -> None:
        assert not (tmp_path / "labels").exists()
        synced.append(os.fstat(number).st_ino)

    monkeypatch.setattr(os, "fsync", sync)
    with atomic_folder(tmp_path / "labels") as part:
        (part / "below").mkdir()
        files = [part / "a.png", part / "below" / "b.png"]
        for file in files:
            file.write_text("x")
        (part / "nowhere").symlink_to("nothing")
    made = [tmp_path / "labels" / file.relative_to(part) for file in files]
    assert sorted(synced) == sorted(file.stat().st_ino for file in made)


def test_folder_comes_back_whose_process_was_killed_between_two_renames(tmp_path: Path) -> None:
    for name, content in ((".labels.12ab34cd.old", "old"), (".labels.12ab34cd.part", "new")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(content)
    remove_leftovers(tmp_path, "labels")
    assert names(tmp_path) == ["labels"]
    assert (tmp_path / "labels/a.txt").read_text() == "old"


def test_disk_that_becomes_read_only_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even though the half-written file cannot be removed then."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "fsync", fail)
    monkeypatch.setattr(Path, "unlink", fail)
    with pytest.raises(UserError, match="text: cannot be written: Read-only file system"):
        write_text(tmp_path / "text", "x")


def test_what_killed_processes_have_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".labels.12ab34cd.part", ".labels.12ab34cd.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").touch()
    kept = [".other.json.12ab34cd.part", "labels", "scores.json"]
    for name in (".scores.json.12ab34cd.part", *kept):
        (tmp_path / name).touch()
    for name in ("labels", "scores.json"):
        remove_leftovers(tmp_path, name)
    assert sorted(path.name for path in tmp_path.iterdir()) == kept
