"""The first images of a split, as a paper takes them, have annotations of their own."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from pointrend_repro.base.errors import UserError
from pointrend_repro.cli import app
from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.config.reading import load_dataset
from pointrend_repro.data.first_images import prepare_first_images
from pointrend_repro.data.own_split import prepare_own_split
from pointrend_repro.data.paths import UserData, data_paths


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    ids = [9, 2, 700, 40, 3]
    content = {
        "info": {"year": 2014},
        "images": [{"id": n, "file_name": f"{n}.jpg"} for n in ids],
        "annotations": [{"id": 10 * n + k, "image_id": n} for n in ids for k in range(2)],
        "categories": [{"id": 1}, {"id": 5}],
    }
    return write(tmp_path / "whole.json", content)


def test_the_first_by_rising_id_with_their_objects(whole: Path, tmp_path: Path) -> None:
    prepare_first_images(whole, 3, tmp_path / "a.json")
    part = json.loads((tmp_path / "a.json").read_text())
    assert [image["id"] for image in part["images"]] == [2, 3, 9]
    assert [entry["id"] for entry in part["annotations"]] == [90, 91, 20, 21, 30, 31]
    assert part["categories"] == [{"id": 1}, {"id": 5}]
    prepare_first_images(whole, 3, tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_what_is_refused(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    with pytest.raises(UserError, match="has 5 images, fewer than the 6 of `val_first`"):
        prepare_first_images(whole, 6, out)
    with pytest.raises(UserError, match="is no file of COCO annotations with images, anno"):
        prepare_first_images(write(tmp_path / "list.json", []), 1, out)
    faulty = {"images": [{}], "annotations": [], "categories": []}
    with pytest.raises(UserError, match="has no whole number as 'id'"):
        prepare_first_images(write(tmp_path / "faulty.json", faulty), 1, out)
    assert not out.exists()


def test_annotations_of_no_image_are_refused_not_dropped(whole: Path, tmp_path: Path) -> None:
    """As a reader of the whole file refuses them."""
    content = json.loads(whole.read_text())
    content["annotations"] += [{"id": 7, "image_id": 78}, {"id": 8, "image_id": 77}]
    write(whole, content)
    out = tmp_path / "out.json"
    with pytest.raises(UserError) as caught:
        prepare_first_images(whole, 3, out)
    assert str(caught.value) == (
        f"{whole}: an annotation names image 77, which is not listed; list it under 'images', or "
        "remove the annotation (such annotations in all: 2)"
    )
    with pytest.raises(UserError, match="names image 77, which is not listed"):
        prepare_own_split(whole, 3, seed=0, train=out, val=tmp_path / "val.json")
    assert not out.exists()


def test_the_papers_own(tmp_path: Path) -> None:
    dataset = load_dataset("coco2014")
    paths = data_paths("coco2014", dataset, UserData(Path("/mine")))
    assert paths.train_annotations == Path("/mine/annotations/instances_train2014.json")
    assert paths.val_images == Path("/mine/val2014")
    assert paths.val_annotations == Path("data/coco2014_first/instances_val.json")
    assert dataset.val_first == 5000


def test_the_command(
    coco_builder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = coco_builder()
    config = tmp_path / "config"
    shutil.copytree(CONFIG_DIR, config)
    values = {"title": "Part", "layout": "coco", "root": str(root), "val_first": 1}
    values["num_classes"] = None
    (config / "datasets/part.yaml").write_text(yaml.safe_dump(values))
    monkeypatch.chdir(tmp_path)
    arguments = ["--dataset", "part", "--config-dir", str(config)]
    check = ["data", "check", *arguments, "--output", str(tmp_path / "found.json")]
    told = str(CliRunner().invoke(app, check).exception)
    assert re.match(r"data/part_first/instances_val\.json: not made yet; run", told)
    assert CliRunner().invoke(app, ["data", "prepare", *arguments]).exit_code == 0
    done = CliRunner().invoke(app, check)
    assert done.exit_code == 0, done.exception
    assert json.loads((tmp_path / "found.json").read_text())["val"]["images"] == 1
