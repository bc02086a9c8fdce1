"""A JSON object with one list left in its file: the same as all of it at once."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointrend_repro.base import json_pieces
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json
from pointrend_repro.base.long_list import LongList, read_with_long_list

SIMPLE = st.none() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
VALUES = SIMPLE | st.lists(SIMPLE, max_size=3) | st.dictionaries(st.sampled_from("ab"), SIMPLE)
KEYS = st.sampled_from(["images", "annotations", "info", 'a "quoted", {key}', "é"])


@settings(max_examples=100, deadline=None)
@given(
    content=st.dictionaries(KEYS, VALUES | st.lists(VALUES, max_size=4), max_size=4),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32-be"]),
    indent=st.sampled_from([None, 2]),
    chunk=st.sampled_from([1, 7, 1 << 20]),
)
def test_the_content_is_that_of_the_whole_file(
    tmp_path_factory: pytest.TempPathFactory,
    content: dict[str, Any],
    encoding: str,
    indent: int | None,
    chunk: int,
) -> None:
    path = tmp_path_factory.mktemp("read") / "object.json"
    path.write_text(json.dumps(content, indent=indent, ensure_ascii=False), encoding=encoding)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_pieces, "_CHUNK", chunk)
        found = read_with_long_list(path, "annotations")
        entries = found.get("annotations")
        assert isinstance(entries, LongList) == isinstance(content.get("annotations"), list)
        if isinstance(entries, LongList):
            assert len(entries) == len(content["annotations"])
            assert list(entries) == list(entries) == content["annotations"]
            text = path.read_bytes()
            for each in entries.located():
                own = text[each.start : each.start + each.length]
                codec = encoding.replace("utf-16", "utf-16-le") if "16" in encoding else encoding
                assert json.loads(own.decode(codec)) == each.value
            found = {**found, "annotations": list(entries)}
    assert list(found.items()) == list(content.items())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"annotations": [1, 2',
        '{"annotations": [1,]}',
        '{"annotations": [1 2]}',
        '{"annotations": [1]} 2',
        '{"annotations": [1],}',
        '{"annotations" [1]}',
        "{1: 2}",
        '{"annotations": [NaN]}',
        '{"a": 1, "a": 2}',
        '{"annotations": [1], "annotations": [2]}',
        '{"annotations": ["\\ud83d"]}',
        '{"annotations": [' + "9" * 101 + "]}",
    ],
)
def test_faults_are_those_of_the_whole_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "object.json"
    path.write_text(text)
    with pytest.raises(UserError) as expected:
        read_json(path)
    with pytest.raises(UserError) as caught:
        read_with_long_list(path, "annotations")
    assert str(caught.value) == str(expected.value)


@pytest.mark.parametrize("text", ["[1, 2]", "null", '"annotations"', '{"a": 1, "a": 1}'])
def test_what_has_no_such_list_is_returned_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "value.json"
    path.write_text(text)
    assert read_with_long_list(path, "annotations") == json.loads(text)


def test_a_file_that_goes_away(tmp_path: Path) -> None:
    path = tmp_path / "object.json"
    for read in (read_json, lambda path: read_with_long_list(path, "annotations")):
        with pytest.raises(UserError, match="no such file"):
            read(path)
    path.write_text('{"annotations": [1, 2]}')
    entries = read_with_long_list(path, "annotations")["annotations"]
    path.unlink()
    with pytest.raises(UserError, match="no such file"):
        list(entries)
