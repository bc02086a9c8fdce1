"""Damaged files are moved aside and kept; where that cannot be, nothing else happens."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pointrend_repro.base.damaged import damaged_moved_aside, made_anew
from pointrend_repro.base.digests import content_digest
from pointrend_repro.base.errors import DamagedError, UserError
from pointrend_repro.base.files import read_json, write_json
from pointrend_repro.base.origins import origin_path, require_as_recorded
from pointrend_repro.experiments.nodes import Cost
from pointrend_repro.reporting.results import load_result
from pointrend_repro.reporting.states import Digests


def test_all_files_of_a_result_are_kept_under_another_name(tmp_path: Path) -> None:
    model, record, gone = (tmp_path / name for name in ("m", "r", "gone"))
    model.write_bytes(b"days of work")
    record.mkdir()
    told = pytest.raises(UserError, match=r"^m: is damaged; kept as .*m\.damaged and .*r\.damaged:")
    with told, damaged_moved_aside():
        raise DamagedError("m: is damaged", (model, record, gone), "train it again")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.damaged", "r.damaged"]
    assert (tmp_path / "m.damaged").read_bytes() == b"days of work"


def test_what_cannot_be_moved_stays_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    (tmp_path / "m").touch()
    monkeypatch.setattr(Path, "rename", refuse)
    told = pytest.raises(DamagedError, match=r"^m: is damaged; train it again$")
    with told, damaged_moved_aside():
        raise DamagedError("m: is damaged", (tmp_path / "m",), "train it again")
    assert (tmp_path / "m").exists()


def test_what_another_job_has_moved_is_told_alike(tmp_path: Path) -> None:
    with pytest.raises(DamagedError, match="train it again"), damaged_moved_aside():
        raise DamagedError("m: is damaged", (tmp_path / "m",), "train it again")


def test_other_errors_move_nothing(tmp_path: Path) -> None:
    (tmp_path / "m").touch()
    with pytest.raises(UserError, match=r"^another$"), damaged_moved_aside():
        raise UserError("another")
    assert (tmp_path / "m").exists()


def test_a_reader_names_what_is_to_be_made_anew(tmp_path: Path) -> None:
    with pytest.raises(DamagedError, match="cannot be read") as caught, made_anew(tmp_path):
        raise UserError("x: cannot be read")
    assert caught.value.files == (tmp_path,)
    inner = DamagedError("y", (tmp_path / "y",))
    with pytest.raises(DamagedError) as caught, made_anew(tmp_path):
        raise inner
    assert caught.value is inner


def read_as_record(model: Path) -> None:
    require_as_recorded(model, "train")


def read_as_score(model: Path) -> None:
    load_result(origin_path(model), Cost("v", "i", "m"), "preset", Digests())


def read_for_the_page(model: Path) -> None:
    with made_anew(origin_path(model)):
        read_json(origin_path(model))


@pytest.mark.parametrize("reader", [read_as_record, read_as_score, read_for_the_page])
def test_what_cannot_be_read_for_now_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: Callable[[Path], None]
) -> None:
    """As on a shared disk that fails for a moment: the file may be whole, and days of work."""
    model = tmp_path / "model.safetensors"
    model.write_bytes(b"days of work")
    write_json(origin_path(model), {"train": {"output_digest": content_digest(model)}})
    before = sorted(tmp_path.iterdir())
    read_bytes = Path.read_bytes

    def failing(path: Path) -> bytes:
        if path.suffix == ".json":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", failing)
    told = r"model\.origin\.json: cannot be read: Input/output error$"
    with pytest.raises(UserError, match=told), damaged_moved_aside():
        reader(model)
    assert sorted(tmp_path.iterdir()) == before
