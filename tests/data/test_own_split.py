"""A part of train is set aside for val, the same everywhere, and nothing is in both."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from typer.testing import CliRunner

from pointrend_repro.base.errors import UserError
from pointrend_repro.cli import app
from pointrend_repro.config.datasets import Dataset
from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.config.reading import load_dataset
from pointrend_repro.data.own_split import choose, prepare_own_split
from pointrend_repro.data.paths import UserData, data_paths


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    content = {
        "images": [{"id": n, "file_name": f"{n}"} for n in (9, 2, 700, 40, 3)],
        "annotations": [{"id": 10 * n, "image_id": n} for n in (2, 3, 9, 9, 40)],
        "categories": [{"id": 1}],
    }
    return write(tmp_path / "whole.json", content)


@given(st.sets(st.integers(0, 10**6), min_size=1), st.integers(0, 50), st.integers(0, 9))
def test_the_choice_is_by_the_digest_that_the_docs_name(
    ids: set[int], count: int, seed: int
) -> None:
    chosen = choose(ids, count, seed)
    assert len(chosen) == min(count, len(ids))
    digests = {n: hashlib.sha256(f"{seed}/{n}".encode()).hexdigest() for n in ids}
    left = [digests[n] for n in ids - chosen]
    assert not left or all(digests[n] < min(left) for n in chosen)


def test_another_seed_is_another_choice() -> None:
    # Written down: a list that changes with the code would make old numbers incomparable.
    assert sorted(choose(range(1, 101), 5, 0)) == [16, 31, 46, 87, 92]
    assert choose(range(1, 101), 5, 1) != choose(range(1, 101), 5, 0)


def test_two_parts_of_one_file(whole: Path, tmp_path: Path) -> None:
    train, val = tmp_path / "train.json", tmp_path / "val.json"
    prepare_own_split(whole, 2, seed=0, train=train, val=val)
    parts = [json.loads(path.read_text()) for path in (train, val)]
    found = [[image["id"] for image in part["images"]] for part in parts]
    assert [len(ids) for ids in found] == [3, 2]
    assert sorted(found[0] + found[1]) == [2, 3, 9, 40, 700]
    for part, ids in zip(parts, found, strict=True):
        assert part["categories"] == [{"id": 1}]
        assert {a["image_id"] for a in part["annotations"]} <= set(ids)
    assert sum(len(part["annotations"]) for part in parts) == 5


def test_none_left_to_train_on(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has 5 images, and none is left for training beside"):
        prepare_own_split(whole, 5, seed=0, train=tmp_path / "t.json", val=tmp_path / "v.json")
    assert not (tmp_path / "t.json").exists()


def test_the_reports_own() -> None:
    dataset = load_dataset("future3d_split")
    paths = data_paths("future3d_split", dataset, UserData(Path("/mine")))
    assert paths.train_images == paths.val_images == Path("/mine/images/train")
    assert paths.train_annotations == Path("data/future3d_split_parts/instances_train.json")
    assert paths.val_annotations == Path("data/future3d_split_parts/instances_val.json")
    assert dataset.val_from_train == 3000


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"val_from_train": 5, "val_first": 5}, "with val_from_train, val is a part of train"),
        ({"val_from_train": 5, "val_images": "v"}, "with val_from_train, val is a part of train"),
        ({"split_seed": 1}, "split_seed: only with val_from_train"),
        ({"val_from_train": 5, "layout": "cityscapes"}, "only for layout coco"),
        ({"val_from_train": 0}, "greater than 0"),
    ],
)
def test_settings_that_contradict_each_other(more: dict[str, Any], problem: str) -> None:
    values = {"title": "x", "layout": "coco", "root": "x", "num_classes": 1} | more
    with pytest.raises(ValidationError, match=problem):
        Dataset.model_validate(values)


def test_the_command(
    coco_builder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = coco_builder()
    config = tmp_path / "config"
    shutil.copytree(CONFIG_DIR, config)
    values = {"title": "Part", "layout": "coco", "root": str(root), "val_from_train": 1}
    values["num_classes"] = None
    (config / "datasets/part.yaml").write_text(yaml.safe_dump(values))
    whole = json.loads((root / "annotations/instances_train2017.json").read_text())
    monkeypatch.chdir(tmp_path)
    arguments = ["--dataset", "part", "--config-dir", str(config)]
    check = ["data", "check", *arguments, "--output", str(tmp_path / "found.json")]
    told = str(CliRunner().invoke(app, check).exception)
    assert re.match(r"data/part_parts/instances_val\.json: not made yet; run", told)
    done = CliRunner().invoke(app, ["data", "prepare", *arguments])
    assert done.exit_code == 0, done.exception
    done = CliRunner().invoke(app, check)
    assert done.exit_code == 0, done.exception
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["val"]["images"] == 1
    assert found["train"]["images"] == len(whole["images"]) - 1


def test_what_is_not_there_is_told_how_to_get(tmp_path: Path) -> None:
    folder = ["--data-root", str(tmp_path / "gone"), "--output", str(tmp_path / "found.json")]
    done = CliRunner().invoke(app, ["data", "check", "--dataset", "future3d", *folder])
    told = str(done.exception)
    assert "no such folder; it should hold 3D-FUTURE" in told
    assert "images/train/, images/val/, annotations/; you bring it" in told
    assert len(told.splitlines()) == 1
