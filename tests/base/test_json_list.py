"""Long JSON lists, entry by entry: the same as all at once."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointrend_repro.base import json_pieces
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json, write_json
from pointrend_repro.base.json_list import (
    encoding_of,
    is_json_list,
    read_json_list,
    write_json_list,
)

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    # Surrogates are halves of characters.
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text('ab"\\é', max_size=3), inner)
    ),
    max_leaves=8,
)
FINITE = VALUES.filter(lambda value: "Infinity" not in json.dumps(value))


@settings(max_examples=50, deadline=None)
@given(st.lists(FINITE, max_size=4))
def test_the_bytes_are_those_of_the_whole_list(
    tmp_path_factory: pytest.TempPathFactory, values: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("written")
    write_json_list(folder / "ours.json", iter(values))
    write_json(folder / "whole.json", values, indent=None)
    assert (folder / "ours.json").read_bytes() == (folder / "whole.json").read_bytes()


@pytest.mark.parametrize("last", [ZeroDivisionError(), float("nan"), OSError(28, "full")])
def test_a_list_that_is_not_finished_leaves_the_older_file(tmp_path: Path, last: Any) -> None:
    path = tmp_path / "list.json"
    path.write_text("[1]\n")

    def entries() -> Iterator[Any]:
        yield {"a": 1}
        if isinstance(last, Exception):
            raise last
        yield last

    with pytest.raises((ZeroDivisionError, ValueError, UserError)):
        write_json_list(path, entries())
    assert path.read_text() == "[1]\n"
    assert [p.name for p in tmp_path.iterdir()] == ["list.json"]


ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-16-le", "utf-32", "utf-32-be")


@settings(max_examples=150, deadline=None)
@given(
    values=st.lists(FINITE, max_size=4),
    encoding=st.sampled_from(ENCODINGS),
    layout=st.sampled_from([(None, (",", ":")), (None, (" ,\n ", ":  ")), (3, (",", ": "))]),
    around=st.sampled_from(["", " \r\n\t"]),
    chunk=st.sampled_from([1, 7, 1 << 20]),
    in_ascii=st.booleans(),
)
def test_entries_are_those_of_the_whole_list(
    tmp_path_factory: pytest.TempPathFactory,
    values: list[Any],
    encoding: str,
    layout: tuple[int | None, tuple[str, str]],
    around: str,
    chunk: int,
    in_ascii: bool,
) -> None:
    path = tmp_path_factory.mktemp("read") / "list.json"
    text = json.dumps(values, indent=layout[0], separators=layout[1], ensure_ascii=in_ascii)
    path.write_bytes(f"{around}{text}{around}".encode(encoding))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_pieces, "_CHUNK", chunk)
        assert is_json_list(path)
        found = list(read_json_list(path))
    assert [entry.value for entry in found] == values == read_json(path)
    content = path.read_bytes()
    for entry in found:
        own = content[entry.start : entry.start + entry.length]
        assert json.loads(own.decode(encoding_of(path))) == entry.value


FAULTS = {
    "an end": ('[{"a": 1}, {"a"', "not valid JSON .*; the file may be truncated"),
    "no end": ('[{"a": 1}', "not valid JSON"),
    "a comma too many": ('[{"a": 1},]', "not valid JSON"),
    "no comma": ('[{"a": 1} {"a": 1}]', r"not valid JSON \(Expecting ']': byte 10\)"),
    "no quote": ('[{"a": 1}, {"a: 1}, {"b": 2}]', "not valid JSON"),
    "no value": ('[{"a": }]', r"not valid JSON \(Expecting value: byte 7\)"),
    "more behind it": ("[1] 2", r"not valid JSON \(Extra data: byte 4\)"),
    "no list": ('{"a": 1}', "not valid JSON"),
    "nothing": ("", "not valid JSON"),
    "NaN": ("[1, NaN]", "refused, since it has NaN"),
    "two values": ('[{"a": 1, "a": 2}]', "refused, since it has the key 'a' twice"),
    "half": ('["\\ud83d"]', "refused, since it has half of a character"),
    "digits": (f"[{'9' * 101}]", "refused, since it has a number of 101 digits"),
    "depth": ("[" * 200_000 + "]" * 200_000, "refused, since it is nested too deeply"),
}


@pytest.mark.parametrize(("text", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_faults_are_told_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "list.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        list(read_json_list(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for function in (is_json_list, lambda path: list(read_json_list(path))):
        with pytest.raises(UserError, match="no such file"):
            function(tmp_path / "gone.json")
        with pytest.raises(UserError, match="is a folder"):
            function(tmp_path)
    (tmp_path / "bytes.json").write_bytes(b'["\xff"]')
    with pytest.raises(UserError, match="not valid JSON"):
        list(read_json_list(tmp_path / "bytes.json"))


def test_a_value_without_an_end_is_not_looked_for_in_a_whole_large_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_pieces, "_CHUNK", 100)
    monkeypatch.setattr(json_pieces, "_LONGEST", 1000)
    path = tmp_path / "list.json"
    path.write_text('["a", "' + "b" * 10_000)
    with pytest.raises(UserError, match="refused, since no whole value begins at byte 6"):
        list(read_json_list(path))
