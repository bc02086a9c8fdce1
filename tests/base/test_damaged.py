"""Damaged files are moved aside and kept; where that cannot be, nothing else happens."""

from pathlib import Path

import pytest

from pointrend_repro.base.damaged import damaged_moved_aside, made_anew
from pointrend_repro.base.errors import DamagedError, UserError


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
