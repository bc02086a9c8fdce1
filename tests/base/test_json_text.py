"""JSON from outside: the value that Python's own reader gives, or one short line."""

import gc
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pointrend_repro.base import json_text
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json
from pointrend_repro.base.json_text import UnreasonableJsonError, is_finite, parse_json, shown
from pointrend_repro.checkpoints.saved_models import load_saved_model
from pointrend_repro.data.coco import read_coco
from pointrend_repro.evaluation.instance_results import index_results
from pointrend_repro.evaluation.official_files import read_ground_truth

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@settings(deadline=None)
@given(VALUES, st.booleans(), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32-le"]))
def test_reads_what_was_written(value: Any, escaped: bool, encoding: str) -> None:
    text = json.dumps(value, ensure_ascii=escaped)
    assert parse_json(text.encode(encoding)) == value
    assert parse_json(text) == value


@given(st.binary() | st.text('[]{}",:\\u0dD9e.-tnN \n', max_size=40))
def test_whatever_it_is_it_is_read_or_refused_in_one_line(content: bytes | str) -> None:
    told = ""
    try:
        parse_json(content)
    except ValueError as error:
        told = str(error)
    assert "\n" not in told
    assert len(told) < 400


HOSTILE = {
    "lists": "[" * 200_000,
    "closed lists": "[" * 200_000 + "]" * 200_000,
    "objects": '{"a":' * 200_000,
    "digits": '{"a": ' + "9" * 5000 + "}",
    "fewer digits": "[-" + "1" * 400 + "]",
    "two values": '{"images": [1], "annotations": [], "images": [2]}',
    "half a character": r'["\ud83d"]',
    "the other half": r'["\\\\\ude00"]',
    "halves the wrong way round": r'["\ude00\ud83d"]',
    "NaN": '{"AP": NaN}',
    "infinity": "[-Infinity]",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_nobody_can_mean_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreasonableJsonError):
        parse_json(HOSTILE[name])
    path = tmp_path / "some.json"
    path.write_text(HOSTILE[name])
    with pytest.raises(UserError) as caught:
        read_json(path)
    told = str(caught.value)
    assert told.startswith(f"{path}: refused, since it ")
    assert "truncated" not in told
    assert "\n" not in told
    assert len(told) < len(str(path)) + 120
    assert gc.isenabled()


def test_halves_of_characters_raw_in_utf8(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_bytes(b'["\xed\xa0\xbd"]')
    with pytest.raises(UserError, match="not valid JSON"):
        read_json(path)


def test_what_looks_hostile_and_is_not() -> None:
    assert parse_json(r'["\ud83d\ude00", "\\ud83d", "\u00e9", "\""]') == ["😀", "\\ud83d", "é", '"']
    assert parse_json('{"iscrowd": 0, "iscrowd": 0}') == {"iscrowd": 0}
    assert parse_json("[" * 100 + "]" * 100)
    assert parse_json(str(2**64)) == 2**64
    assert math.isnan(parse_json("[NaN]", allow_nan=True)[0])


def test_values_in_messages_are_short() -> None:
    deep: Any = []
    for _ in range(10_000):
        deep = [deep]
    for value in (deep, "x" * 10**5, [1.0] * 10**5, {"a": deep}):
        assert len(shown(value)) < 200
        assert "\n" not in shown(value)
    assert shown([float("nan"), 0, 1, 1]) == "[nan, 0, 1, 1]"
    assert not any(is_finite(value) for value in (True, None, "1", float("inf"), [1]))
    assert all(is_finite(value) for value in (1, -1.5))


# Deeper than any reader of ours goes down itself, and at the edge of what Python's goes.
DEPTHS = (50, 500, 900, 960, 985, 200_000)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("key", ["bbox", "segmentation", "score", "image_id"])
def test_a_prediction_nested_at_any_depth(tmp_path: Path, depth: int, key: str) -> None:
    entry = {"image_id": 1, "category_id": 1, "score": 0.5, "bbox": [0, 0, 1, 1]}
    entry["segmentation"] = {"size": [1, 1], "counts": "1"}
    _refuses(tmp_path, index_results, [entry], entry, key, depth)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("key", ["bbox", "segmentation", "id", "iscrowd"])
def test_an_annotation_nested_at_any_depth(tmp_path: Path, depth: int, key: str) -> None:
    entry = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 4, 4]}
    entry["segmentation"] = [[0, 0, 4, 0, 4, 4]]
    image = {"id": 1, "file_name": "a.jpg", "width": 9, "height": 9}
    whole = {"images": [image], "annotations": [entry], "categories": [{"id": 1, "name": "a"}]}
    (tmp_path / "a.jpg").touch()
    _refuses(tmp_path, lambda p: read_coco(tmp_path, p), whole, entry, key, depth)


def _refuses(
    folder: Path, read: Any, whole: Any, entry: dict[str, Any], key: str, depth: int
) -> None:
    path = folder / "some.json"
    path.write_text(json.dumps(whole))
    read(path)
    entry[key] = "HERE"
    path.write_text(json.dumps(whole).replace('"HERE"', "[" * depth + "]" * depth))
    with pytest.raises(UserError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 250


@pytest.mark.parametrize("area", ["NaN", "1e999", "true", '"5"', "null", "-1", "-0.5"])
def test_an_area_that_is_no_number_of_pixels_is_not_scored(tmp_path: Path, area: str) -> None:
    path = tmp_path / "val.json"
    image = '"images": [{"id": 1, "height": 9, "width": 9}]'
    common = '"image_id": 1, "bbox": [0, 0, 4, 4]'
    entries = f'[{{{common}, "area": 5, "extra": NaN}}, {{{common}, "area": {area}}}]'
    path.write_text(f'{{{image}, "annotations": {entries}}}')
    required = {"images": ("id", "height", "width"), "annotations": ("image_id", "bbox", "area")}
    told = r"annotations\[1\]: area is .*; write the pixels of the mask"
    with pytest.raises(UserError, match=told):
        read_ground_truth(path, required)
    path.write_text(path.read_text().replace(f'"area": {area}', '"area": 0'))  # as COCO's may be
    read_ground_truth(path, required)


@pytest.mark.parametrize("metadata", [HOSTILE["lists"], HOSTILE["digits"], HOSTILE["NaN"]])
def test_metadata_of_weights(tmp_path: Path, metadata: str) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file({"w": torch.zeros(1)}, path, {"pointrend_repro": metadata})
    with pytest.raises(UserError, match=r"model\.safetensors: not a model of this project") as told:
        load_saved_model(path)
    assert "\n" not in str(told.value)


# Not from outside: what pip has noted of an installed package, our own settings on their way
# through detectron2's, and what a child process of ours prints.
OWN_TEXTS = {
    "engines/detectron2/install.py",
    "engines/detectron2/own_heads.py",
    "tools/bench/memory.py",
}
READERS = {"base/json_text.py", "base/yaml_text.py"}


def test_nothing_else_reads_json_or_yaml() -> None:
    package = Path(json_text.__file__).parents[1]
    rules = [*(package.parents[1] / "workflow").rglob("*.smk"), package.parents[1] / "Snakefile"]
    found = set()
    for path in [*package.rglob("*.py"), *rules]:
        text = path.read_text(encoding="utf-8")
        if re.search(r"\bjson\.loads?\(|\byaml\.\w*load\w*\(|\.json\(\)|JSONDecoder", text):
            found.add(path.relative_to(package).as_posix() if path.suffix == ".py" else path.name)
    assert found == OWN_TEXTS | READERS
