"""Digests of files, folders and numbers: what changes them, and what does not."""

import errno
import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointrend_repro.base.digests import content_digest, result_digest, short
from pointrend_repro.base.errors import UserError


def test_a_files_digest_is_that_of_sha256sum(tmp_path: Path) -> None:
    path = tmp_path / "a file"
    path.write_bytes(bytes(range(256)) * 5000)
    told = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout
    assert content_digest(path) == f"sha256:{told.split()[0]}"
    assert short(content_digest(path)) == told[:12]


def test_it_can_be_made_piece_by_piece(tmp_path: Path) -> None:
    pieces = [b"[", b'{"a": 1}', b"," * 70_000, b"]"]
    streamed = hashlib.sha256()
    with (tmp_path / "f").open("wb") as stream:
        for piece in pieces:
            stream.write(piece)
            streamed.update(piece)
    assert content_digest(tmp_path / "f") == f"sha256:{streamed.hexdigest()}"


def test_a_folder_that_cannot_be_listed_has_no_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one of its folders it would pass for another one, and be moved aside as damaged."""
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside/a.png").touch()
    scandir = os.scandir

    def failing(path: Any = ".") -> Any:
        if Path(path).name == "inside":
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", failing)
    with pytest.raises(UserError, match="cannot be read: Permission denied"):
        content_digest(tmp_path)


def test_a_folders_digest_has_all_names_and_bytes(tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    (folder / "inside").mkdir(parents=True)
    files = {"b.png": b"1", "a.png": b"22", "inside/c.png": b""}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    before = content_digest(folder)
    (folder / ".snakemake_timestamp").touch()
    assert content_digest(folder) == before

    other = tmp_path / "made in another order"
    (other / "inside").mkdir(parents=True)
    for name in reversed(files):
        (other / name).write_bytes(files[name])
    assert content_digest(other) == before

    found = {before}
    (folder / "b.png").write_bytes(b"2")
    found.add(content_digest(folder))
    (folder / "b.png").rename(folder / "d.png")
    found.add(content_digest(folder))
    (folder / "e.png").touch()
    found.add(content_digest(folder))
    (folder / "inside/c.png").unlink()
    found.add(content_digest(folder))
    assert len(found) == 5


def test_bytes_cannot_move_from_one_file_to_the_next(tmp_path: Path) -> None:
    for name, parts in (("one", (b"ab", b"c")), ("two", (b"a", b"bc"))):
        for number, part in enumerate(parts):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / f"{number}.png").write_bytes(part)
    assert content_digest(tmp_path / "one") != content_digest(tmp_path / "two")


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing: no such file"):
        content_digest(tmp_path / "nothing")


numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.none()
results = st.fixed_dictionaries(
    {
        "metric": st.text(max_size=5),
        "values": st.dictionaries(st.text(max_size=5), numbers, min_size=1, max_size=4),
    },
    optional={"resampled": st.dictionaries(st.text(max_size=5), st.lists(numbers, max_size=4))},
)


@given(result=results, indent=st.sampled_from([None, 2]), sort=st.booleans())
def test_a_results_digest_outlives_json(result: dict[str, Any], indent: int, sort: bool) -> None:
    digest = result_digest(result)
    written = json.dumps(result | {"origin": {"any": "record"}}, indent=indent, sort_keys=sort)
    assert result_digest(json.loads(written)) == digest


@given(result=results, data=st.data())
def test_a_results_digest_has_every_number(result: dict[str, Any], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(result["values"])))
    other = data.draw(numbers.filter(lambda value: repr(value) != repr(result["values"][key])))
    edited = result | {"values": result["values"] | {key: other}}
    assert result_digest(edited) != result_digest(result)
