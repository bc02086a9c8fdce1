"""Which folder a file's images are taken from, where several have files of the same names."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from test_survey import no_harm, write_split

from pointrend_repro.base.errors import UserError
from pointrend_repro.tools.survey.inspecting import Survey, inspect_folder
from pointrend_repro.tools.survey.mending.sources import find_sources

SPLITS = ("train", "val")
Change = Callable[[Path], object]


def frames(root: Path, train: str, val: str, *, count: int = 6) -> Path:
    """Two splits whose pictures have the same names, in the folders `train` and `val`."""
    for split, folder in zip(SPLITS, (train, val), strict=True):
        write_split(root, split, count if split == "train" else 4, no_harm)
        path = root / f"labels/{split}.json"
        document = json.loads(path.read_text())
        target = root / "new" / folder
        target.mkdir(parents=True)
        for k, image in enumerate(document["images"]):
            name = f"frame_{k:06d}.png"
            (root / split / image["file_name"]).rename(target / name)
            image["file_name"] = name
        path.write_text(json.dumps(document))
        (root / split).rmdir()
    for path in (root / "new").iterdir():
        path.rename(root / path.name)
    (root / "new").rmdir()
    return root


def masks(root: Path, of: str, folder: str) -> None:
    """A mask for each picture, under its name."""
    (root / folder).mkdir(parents=True)
    for path in (root / of).iterdir():
        Image.new("L", (48, 32)).save(root / folder / path.name)


def places(survey: Survey) -> list[str]:
    return [str(s.images_dir.relative_to(survey.root)) for s in survey.splits.values()]


def told_of(root: Path) -> str:
    with pytest.raises(UserError) as told:
        inspect_folder(root)
    assert "\n" not in str(told.value)
    with pytest.raises(UserError) as also:
        find_sources(root)
    assert str(also.value) == str(told.value)
    return str(told.value)


@pytest.mark.parametrize("missing", [0, 2])
@pytest.mark.parametrize("split", SPLITS)
def test_a_missing_picture_does_not_move_its_split(
    split: str, missing: int, tmp_path: Path
) -> None:
    """The other split, and the masks, have all of the names."""
    root = frames(tmp_path, "images/train", "images/val", count=6 if split == "val" else 4)
    masks(root, f"images/{split}", "masks")
    gone = root / f"images/{split}/frame_00000{missing}.png"
    gone.unlink()
    survey = inspect_folder(root)
    assert places(survey) == ["images/train", "images/val"]
    assert [f.kind for f in survey.faults] == ["images that are not on disk"]
    assert f"{gone} is not on disk" in survey.faults[0].text


def test_the_folder_with_the_annotations_comes_first(tmp_path: Path) -> None:
    root = frames(tmp_path, "a", "b")
    masks(root, "a", "mask_of_a")
    masks(root, "b", "mask_of_b")
    for split, folder in zip(SPLITS, "ab", strict=True):
        shutil.move(root / f"labels/{split}.json", root / f"{folder}/{split}.json")
    assert places(inspect_folder(root)) == ["a", "b"]


def test_validation_is_not_taken_from_the_test_images(tmp_path: Path) -> None:
    root = frames(tmp_path, "train", "val")
    shutil.copytree(root / "val", root / "test")
    (root / "val/frame_000001.png").unlink()
    assert places(inspect_folder(root)) == ["train", "val"]


UNCLEAR: dict[str, tuple[tuple[str, str], Change, str]] = {
    "masks beside pictures": (
        ("images/a", "images/b"),
        lambda r: masks(r, "images/a", "gt/a"),
        "are in gt/a (6 of 6) and images/a (6 of 6) and images/b (4 of 6)",
    ),
    "COCO's panoptic masks": (
        ("train2017", "val2017"),
        lambda r: masks(r, "train2017", "annotations/panoptic_train2017"),
        "are in annotations/panoptic_train2017 (6 of 6) and train2017 (6 of 6)",
    ),
    "most of a split is missing": (
        ("train", "val"),
        lambda r: [(r / f"val/frame_00000{k}.png").unlink() for k in range(3)],
        "are in train (4 of 4) and val (1 of 4); say which folder is meant by --val-images FOLDER",
    ),
}


@pytest.mark.parametrize("key", UNCLEAR)
def test_what_nothing_tells_is_asked(key: str, tmp_path: Path) -> None:
    folders, change, told = UNCLEAR[key]
    root = frames(tmp_path, *folders)
    change(root)
    assert told in told_of(root)
    named = {split: root / folder for split, folder in zip(SPLITS, folders, strict=True)}
    survey = inspect_folder(root, images=named)  # type: ignore[arg-type]
    assert places(survey) == list(folders)
    missing = [f for f in survey.faults if "not on disk" in f.text]
    assert len(survey.faults) == len(missing) == (3 if "missing" in key else 0)


def test_folders_that_cannot_be_named(tmp_path: Path) -> None:
    root = frames(tmp_path / "data", "train", "val")
    (tmp_path / "other").mkdir()
    (root / "link").symlink_to(tmp_path / "other")
    for folder, told in ((tmp_path / "none", "no such folder"), (tmp_path / "other", "not below")):
        with pytest.raises(UserError, match=told):
            inspect_folder(root, images={"train": folder})
    assert places(inspect_folder(root, images={"train": root / "link"}))[0] == "link"


def test_both_splits_of_the_same_images(tmp_path: Path) -> None:
    root = frames(tmp_path, "train", "val")
    shutil.rmtree(root / "val")
    survey = inspect_folder(root)
    assert places(survey) == ["train", "train"]
    (told,) = survey.faults
    assert told.kind == "splits of the same images"
    assert "val.json: 4 of its 4 images, such as " in told.text
    assert "--train-images and --val-images" in told.text
