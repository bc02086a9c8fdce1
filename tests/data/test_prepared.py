"""Annotations that `data prepare` made: what changes in the user's own files is not passed over."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pointrend_repro.base.errors import UserError
from pointrend_repro.config.datasets import Dataset
from pointrend_repro.data.check import describe_dataset
from pointrend_repro.data.cityscapes import label_files
from pointrend_repro.data.fingerprint import training_data
from pointrend_repro.data.generated.cityscapes_layout import generate_cityscapes
from pointrend_repro.data.paths import DataPaths, UserData, data_paths
from pointrend_repro.data.prepared import changed_source
from pointrend_repro.data.preparing import prepare_annotations
from pointrend_repro.data.training_splits import read_instances
from pointrend_repro.settings.generated import GeneratedSettings
from working_copy import make_copy

SMALL = GeneratedSettings(train_images=3, val_images=2, width_px=96, height_px=48, classes=8)
RECIPE = {
    "input": {"train_short_edges_px": [48], "test_short_edge_px": 48, "max_long_edge_px": 96},
    "schedules": {"1x": {"total_iters": 10, "lr_drop_iters": [5]}},
}


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Prepared annotations lie below `data/` of the working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def streets(work: Path) -> tuple[Dataset, DataPaths]:
    """A folder of one's own in Cityscapes' layout, prepared."""
    generate_cityscapes(work / "streets", SMALL)
    return prepare(layout="cityscapes", root=str(work / "streets"), recipe=RECIPE)


def prepare(**values: Any) -> tuple[Dataset, DataPaths]:
    config = Dataset.model_validate({"title": "Mine", "num_classes": None} | values)
    paths = data_paths("mine", config, UserData())
    prepare_annotations("mine", config, paths)
    return config, paths


def labels(paths: DataPaths, split: Any) -> Path:
    return next(iter(label_files(paths.root, split).values()))


def relabel(path: Path) -> None:
    """Another class for every object."""
    ids = np.array(Image.open(path))
    Image.fromarray(np.where(ids >= 1000, 26000 + ids % 1000, ids).astype(ids.dtype)).save(path)


def test_a_label_corrected_before_training_is_not_passed_over(
    streets: tuple[Dataset, DataPaths],
) -> None:
    config, paths = streets
    before = read_instances(paths, "train")
    described = describe_dataset("mine", config, paths)
    path = labels(paths, "train")
    relabel(path)
    with pytest.raises(UserError) as caught:
        read_instances(paths, "train")
    told = str(caught.value)
    assert told.startswith("data/mine_instances/instances_train.json: was made of other files: ")
    assert f"{path} has changed; " in told
    assert f"`pointrend-repro data prepare --dataset mine --data-root {paths.root}`" in told
    assert "\n" not in told
    prepare_annotations("mine", config, paths)
    assert read_instances(paths, "train") != before
    assert describe_dataset("mine", config, paths)["train"] != described["train"]


@pytest.mark.parametrize("what", ["new", "gone"])
def test_more_and_fewer_label_images(streets: tuple[Dataset, DataPaths], what: str) -> None:
    _, paths = streets
    path = labels(paths, "train")
    other = path.with_name("another_000000_000000_gtFine_instanceIds.png")
    (shutil.copy if what == "new" else shutil.move)(path, other)
    named = other if what == "new" else path
    told = changed_source(paths, paths.train_annotations)
    assert told is not None
    if what == "new":
        assert f"{named} is new" in told
    else:  # and another is new: either is a reason
        assert " is gone; " in told or " is new; " in told
    assert changed_source(paths, paths.val_annotations) is None


def test_numbers_of_val_are_marked_and_no_training_is_refused(
    streets: tuple[Dataset, DataPaths], caplog: pytest.LogCaptureFixture
) -> None:
    """A finished run is looked at again: its numbers of val are of other labels than today's."""
    config, paths = streets
    before = describe_dataset("mine", config, paths)["fingerprints"]
    path = labels(paths, "val")
    content, status = path.read_bytes(), path.stat()
    relabel(path)
    today = describe_dataset("mine", config, paths)["fingerprints"]
    assert today["val_annotations"] != before["val_annotations"]
    assert today["train"] == before["train"] == training_of(paths)
    assert f"{path} has changed" in caplog.text
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert describe_dataset("mine", config, paths)["fingerprints"] == before


def training_of(paths: DataPaths) -> str:
    return training_data(read_instances(paths, "train"), paths)["fingerprint"]


def test_a_copied_folder_is_the_same(streets: tuple[Dataset, DataPaths], work: Path) -> None:
    """Times that differ have the content decide."""
    config, _ = streets
    shutil.copytree(work / "streets", work / "copy", copy_function=shutil.copyfile)
    copied = data_paths("mine", config, UserData(work / "copy"))
    assert changed_source(copied, copied.train_annotations) is None
    read_instances(copied, "train")
    relabel(labels(copied, "train"))
    with pytest.raises(UserError, match="has changed"):
        read_instances(copied, "train")


def test_unchanged_files_are_not_read(
    streets: tuple[Dataset, DataPaths], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of Cityscapes there are 3475."""
    _, paths = streets

    def refuse(path: Path) -> str:
        raise AssertionError(f"{path} is read")

    monkeypatch.setattr("pointrend_repro.data.prepared.file_sha256", refuse)
    assert changed_source(paths, paths.train_annotations) is None


def test_annotations_from_before_there_were_notes(streets: tuple[Dataset, DataPaths]) -> None:
    config, paths = streets
    before = describe_dataset("mine", config, paths)
    paths.train_annotations.with_name("made_from.json").unlink()
    assert describe_dataset("mine", config, paths) == before
    read_instances(paths, "train")


def test_a_broken_note_is_told(streets: tuple[Dataset, DataPaths]) -> None:
    _, paths = streets
    note = paths.train_annotations.with_name("made_from.json")
    note.write_text('{"dataset": "mine"}')
    with pytest.raises(UserError, match=r"made_from\.json: is no note of `data prepare`; run"):
        read_instances(paths, "train")


@pytest.mark.parametrize(
    ("taken", "file"),
    [
        ({"val_from_train": 1}, "annotations/instances_train2017.json"),
        ({"val_first": 1}, "annotations/instances_val2017.json"),
    ],
)
def test_another_choice_of_images_is_of_the_annotations_of_then(
    coco_builder: Callable[..., Path], taken: dict[str, int], file: str
) -> None:
    root = coco_builder()
    config, paths = prepare(layout="coco", root=str(root), **taken)
    before = describe_dataset("mine", config, paths)["fingerprints"]
    content = json.loads((root / file).read_text())
    content["annotations"][0]["bbox"][0] += 1
    (root / file).write_text(json.dumps(content))
    today = describe_dataset("mine", config, paths)["fingerprints"]
    assert today["val_annotations"] != before["val_annotations"]
    if "val_first" in taken:  # train is the user's own file, which has not changed
        assert today["train"] == before["train"] == training_of(paths)
    else:
        assert today["train"] != before["train"]
        with pytest.raises(UserError, match=rf"{file} has changed; put that right, or run"):
            read_instances(paths, "train")


@pytest.mark.slow
def test_the_pipeline_checks_no_annotations_of_other_files(
    work: Path, coco_builder: Callable[..., Path]
) -> None:
    root, copy = coco_builder(), make_copy(work / "clone")
    values = {"title": "Mine", "layout": "coco", "root": str(root), "val_from_train": 1}
    text = json.dumps(values | {"num_classes": None})
    (copy.folder / "config/datasets/mine.yaml").write_text(text)
    copy.edit("config/presets/tiny.yaml", "coco: coco_folder", "coco: mine")
    until = ("--cores", "1", "--quiet", "all", "--until", "check_data", "--config", "preset=tiny")
    done = copy.snakemake(*until)
    assert done.returncode == 0, done.stderr
    record = copy.folder / "results/tiny/mine/dataset.json"
    record.unlink()
    annotations = root / "annotations/instances_train2017.json"
    annotations.write_text(annotations.read_text() + "\n")
    done = copy.snakemake(*until)
    assert done.returncode != 0
    assert "error: data/mine_parts/instances_train.json: was made of other files: " in done.stderr
    assert not record.exists()
    arguments = ("--dataset", "mine", "--config-dir", "config")
    assert copy.command("pointrend-repro", "data", "prepare", *arguments).returncode == 0
    assert copy.snakemake(*until).returncode == 0
    assert record.exists()
