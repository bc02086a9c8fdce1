"""A val of training images would give high scores that mean nothing."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pointrend_repro.base.errors import UserError
from pointrend_repro.config.datasets import Dataset
from pointrend_repro.data.check import describe_dataset
from pointrend_repro.data.paths import UserData, data_paths

TRAIN, VAL = "annotations/instances_train2017.json", "annotations/instances_val2017.json"


@pytest.fixture
def root(coco_builder: Callable[..., Path]) -> Path:
    return coco_builder()


def check(root: Path, **values: str) -> dict[str, Any]:
    basic = {"title": "Mine", "layout": "coco", "root": str(root), "num_classes": None}
    config = Dataset.model_validate(basic | values)
    return describe_dataset("mine", config, data_paths("mine", config, UserData()))


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_other_images_under_the_same_names_are_others(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As from a camera that numbers its pictures anew in each folder."""
    content = read(root / VAL)
    for number, image in enumerate(content["images"], start=1):
        path = root / "val2017" / image["file_name"]
        image["file_name"] = f"{number:012}.jpg"
        path.rename(path.with_name(image["file_name"]))
    assert (root / "train2017" / content["images"][0]["file_name"]).is_file()
    (root / VAL).write_text(json.dumps(content))
    assert check(root)["val"]["images"] == 2
    assert "also in" not in caplog.text


def test_one_file_for_both(root: Path) -> None:
    for train in (TRAIN, f"./{TRAIN}", f"val2017/../{TRAIN}"):
        with pytest.raises(UserError) as caught:
            check(root, train_annotations=train, val_annotations=TRAIN, val_images="train2017")
        told = str(caught.value)
        assert told.startswith(f"{root / TRAIN}: is the same as {root / train}, and a model is")
        assert "\n" not in told


@pytest.mark.parametrize("link", [True, False])
def test_a_link_to_the_same_file_and_a_copy_of_it(root: Path, link: bool) -> None:
    (root / VAL).unlink()
    if link:
        (root / VAL).symlink_to(root / TRAIN)
    else:
        (root / VAL).write_bytes((root / TRAIN).read_bytes())
    with pytest.raises(UserError, match=r"_val2017\.json: is the same as .*_train2017\.json"):
        check(root, val_images="train2017")


@pytest.mark.parametrize("how", ["same folder", "linked folder", "linked files"])
def test_the_same_images_in_two_files(root: Path, how: str) -> None:
    """Other annotations of them, as after a second look, do not make them others."""
    content = read(root / TRAIN)
    content["annotations"].pop()
    (root / VAL).write_text(json.dumps(content))
    if how == "linked folder":
        (root / "other").symlink_to("train2017")
    elif how == "linked files":
        (root / "other").mkdir()
        for path in (root / "train2017").iterdir():
            (root / "other" / path.name).symlink_to(path)
    folder = "train2017" if how == "same folder" else "other"
    with pytest.raises(UserError) as caught:
        check(root, val_images=folder)
    told = str(caught.value)
    assert told.startswith(f"{root / VAL}: 4 of 4 images are also in {root / TRAIN}, such as ")
    assert f"{(root / 'train2017').resolve()}/000000000001.jpg; a model is not scored" in told


def test_some_images_of_train_are_warned_of(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    both, train = read(root / VAL), read(root / TRAIN)
    for image in both["images"]:
        image["file_name"] = f"val2017/{image['file_name']}"
    image = train["images"][0]
    both["images"].append(image | {"file_name": f"train2017/{image['file_name']}"})
    (root / VAL).write_text(json.dumps(both))
    with caplog.at_level(logging.WARNING):
        assert check(root, val_images=".")["val"]["images"] == 3
    assert "instances_val2017.json: 1 of 3 images are also in" in caplog.text
