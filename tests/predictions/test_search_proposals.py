"""Selective Search's file of proposals: the same again, however it is made, and scored by boxes."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.coco import CocoDataset, ImageRecord, read_coco
from pointrend_repro.data.examples import read_record
from pointrend_repro.evaluation import score
from pointrend_repro.evaluation.scoring import ReadOnce
from pointrend_repro.modeling.selective_search import search
from pointrend_repro.predictions import in_parts, selective_search
from pointrend_repro.predictions.proposals import read_proposals
from pointrend_repro.predictions.selective_search import write_proposals
from pointrend_repro.settings.selective_search import SelectiveSearchInferenceSettings


@pytest.fixture
def dataset(tmp_path: Path, coco_builder: Callable[..., Path]) -> CocoDataset:
    root = coco_builder(root=tmp_path / "coco")
    return read_coco(root / "val2017", root / "annotations/instances_val2017.json")


def test_the_file_is_the_same_in_one_process_and_in_two(
    dataset: CocoDataset, tmp_path: Path
) -> None:
    settings = SelectiveSearchInferenceSettings(min_side_px=8, proposals=15)
    files = [tmp_path / f"{processes}.json" for processes in (1, 2)]
    for processes, file in enumerate(files, start=1):
        write_proposals(dataset, settings, file, processes)
    assert files[0].read_bytes() == files[1].read_bytes()
    # Nor does it matter which other images there are.
    write_proposals(replace(dataset, images=dataset.images[-1:]), settings, tmp_path / "last.json")
    last = json.loads((tmp_path / "last.json").read_text())
    assert last == [
        e for e in json.loads(files[0].read_text()) if e["image_id"] == last[0]["image_id"]
    ]


def test_boxes_are_those_of_the_search_in_its_order(dataset: CocoDataset, tmp_path: Path) -> None:
    settings = SelectiveSearchInferenceSettings(min_side_px=8, proposals=15, seed=3)
    write_proposals(dataset, settings, tmp_path / "proposals.json")
    found = read_proposals(tmp_path / "proposals.json", at_most=None)
    for record in dataset.images:
        rng = np.random.default_rng([3, record.id])
        boxes, _ = search(read_record(record), "fast", rng)
        large = [b for b in boxes.tolist() if b[2] - b[0] >= 8 and b[3] - b[1] >= 8]
        assert found.of(record.id).tolist() == large[:15]


def test_images_without_proposals_are_scored(dataset: CocoDataset, tmp_path: Path) -> None:
    settings = SelectiveSearchInferenceSettings(min_side_px=10_000)
    file = tmp_path / "proposals.json"
    write_proposals(dataset, settings, file)
    assert json.loads(file.read_text()) == []
    truth = tmp_path / "coco/annotations/instances_val2017.json"
    metric = "proposal_box_recall"
    assert score(metric, truth, file, ReadOnce([metric])).values["AR@100"] == 0


def test_without_contrib_modules_one_line_says_what_to_do(
    dataset: CocoDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(cv2, "ximgproc", raising=False)
    with pytest.raises(UserError, match="pip install opencv-contrib-python-headless"):
        write_proposals(dataset, SelectiveSearchInferenceSettings(), tmp_path / "proposals.json")
    assert not (tmp_path / "proposals.json").exists()


def test_a_killed_search_goes_on(
    dataset: CocoDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SelectiveSearchInferenceSettings(min_side_px=8, proposals=5)
    whole, file = tmp_path / "whole.json", tmp_path / "proposals.json"
    write_proposals(dataset, settings, whole)
    monkeypatch.setattr(in_parts, "IMAGES", 1)
    searched, interrupts = [], [OSError("disk")]

    def read(record: ImageRecord) -> NDArray[np.uint8]:
        if record == dataset.images[1] and interrupts:
            raise interrupts.pop()
        searched.append(record.id)
        return read_record(record)

    monkeypatch.setattr(selective_search, "read_record", read)
    with pytest.raises(UserError, match=r"1002\.jpg: disk"):
        write_proposals(dataset, settings, file)
    assert not file.exists()
    write_proposals(dataset, settings, file)
    assert searched == [record.id for record in dataset.images]
    assert file.read_bytes() == whole.read_bytes()
    assert {path.name for path in tmp_path.glob("*.parts-*")} == set()
