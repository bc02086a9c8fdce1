"""A training continues only on the masks and images that it began with."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from experiment import Experiment, model, signal_at

from pointrend_repro.data.coco import CocoDataset, read_coco
from pointrend_repro.training.digest import data_digest

Entry = dict[str, Any]


def read(root: Path) -> CocoDataset:
    return read_coco(root / "train2017", root / "annotations/instances_train2017.json")


def move_a_corner(document: Entry) -> None:
    document["annotations"][0]["segmentation"][0][0] += 0.5


def split_a_polygon(document: Entry) -> None:
    (polygon,) = document["annotations"][0]["segmentation"]
    document["annotations"][0]["segmentation"] = [polygon[:6], [*polygon[:2], *polygon[4:]]]


def as_run_lengths(counts: list[int]) -> Callable[[Entry], None]:
    def change(document: Entry) -> None:
        document["annotations"][0]["segmentation"] = {"size": [48, 64], "counts": counts}

    return change


def test_masks_and_images_count(coco_builder: Callable[..., Path], tmp_path: Path) -> None:
    changes = {
        "same": None,
        "corner": move_a_corner,
        "polygons": split_a_polygon,
        "rle": as_run_lengths([500, 40, 2532]),
        "other rle": as_run_lengths([500, 41, 2531]),
    }
    found = {
        name: data_digest(read(coco_builder(root=tmp_path / name, mutate=change)))
        for name, change in changes.items()
    }
    assert len(set(found.values())) == len(changes)
    again = read(coco_builder(root=tmp_path / "again"))
    assert data_digest(again) == found["same"]
    again.images[0].annotations[0].segmentation[0][0] += 0.5  # the same as a list or an array
    assert data_digest(again) == found["corner"]
    larger = coco_builder(root=tmp_path / "larger", size=(64, 52))
    assert data_digest(read(larger)) != found["same"]


@pytest.mark.parametrize("is_edited", [True, False])
def test_edited_masks_begin_a_training_anew(tmp_path: Path, is_edited: bool) -> None:
    experiment = Experiment(tmp_path)
    stopped = experiment.start("cut", signal_at, 4, [15])
    assert stopped.wait() == [75], stopped.output
    path = experiment.root / "annotations/instances_train2017.json"
    document = json.loads(path.read_text())
    if is_edited:
        for entry in document["annotations"]:
            entry["segmentation"][0] = entry["segmentation"][0][2:]  # the same box, by its bbox
    path.write_text(json.dumps(document, indent=1))
    cut = experiment.finish("cut")
    aside = list(tmp_path.glob("cut/checkpoints.*_*"))
    assert bool(aside) == is_edited
    assert model(cut) == model(experiment.finish("whole"))
