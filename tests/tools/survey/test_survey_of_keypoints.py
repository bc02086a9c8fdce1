"""Folders with keypoints: what the check says of them, and what a mended copy has."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from mended_folders import mend
from PIL import Image

from pointrend_repro.config.reading import load_dataset
from pointrend_repro.data.coco import read_coco
from pointrend_repro.data.generated.people_layout import generate_people
from pointrend_repro.settings.generated import GeneratedSettings
from pointrend_repro.tools.survey.inspecting import inspect_folder
from pointrend_repro.tools.survey.mending.fractions import in_pixels
from pointrend_repro.tools.survey.mending.keypoints import counted
from pointrend_repro.tools.survey.mending.numbers import as_numbers
from pointrend_repro.tools.survey.mending.pictures import Header
from pointrend_repro.tools.survey.mending.sizes import upright_sizes
from pointrend_repro.tools.survey.text import to_text
from small_experiment import Run

TRAIN = "annotations/person_keypoints_train2017.json"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("people") / "drawn"
    settings = GeneratedSettings(
        train_images=4, val_images=4, width_px=128, height_px=96, subject="people"
    )
    generate_people(root, settings)
    return root


def changed(drawn: Path, root: Path, change: Any) -> Path:
    """A copy whose training annotations are changed."""
    for path in drawn.rglob("*"):
        if path.is_file():
            target = root / path.relative_to(drawn)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    document = json.loads((root / TRAIN).read_text())
    change(document)
    (root / TRAIN).write_text(json.dumps(document))
    return root


def test_keypoints_are_counted_and_scored(drawn: Path) -> None:
    survey = inspect_folder(drawn)
    assert survey.faults == []
    entries = json.loads((drawn / TRAIN).read_text())["annotations"]
    labelled = sum(entry["num_keypoints"] > 0 for entry in entries)
    assert survey.counts["train"].with_keypoints == labelled > 0
    assert "keypoint_ap" in survey.metrics
    row = next(line for line in to_text(survey).splitlines() if "with keypoints" in line)
    assert str(labelled) in row


def test_a_written_data_set_has_the_keypoints(run: Run, drawn: Path, tmp_path: Path) -> None:
    config = tmp_path / "config"
    (config / "datasets").mkdir(parents=True)
    code, _, told = run("data", "check", drawn, "--write", "--config-dir", config)
    assert code == 0, told
    written = yaml.safe_load((config / "datasets/mine.yaml").read_text())
    assert written["train_annotations"] == TRAIN
    dataset = load_dataset("mine", config)
    read = read_coco(drawn / dataset.train_images, drawn / dataset.train_annotations)
    assert read.categories[0].keypoints is not None


def test_faults_of_keypoints_are_named(drawn: Path, tmp_path: Path) -> None:
    def change(document: dict) -> None:
        document["annotations"][0]["keypoints"] = [1, 2, 2]
        document["annotations"][1]["num_keypoints"] = 40

    survey = inspect_folder(changed(drawn, tmp_path / "a", change))
    texts = [finding.text for finding in survey.faults]
    assert len(texts) == 2
    assert "has 3 numbers in keypoints, but its category has 17" in texts[0]
    assert "has num_keypoints 40, but" in texts[1]


def test_keypoints_without_sigmas_are_worth_a_look(drawn: Path, tmp_path: Path) -> None:
    def change(document: dict) -> None:
        document["categories"][0]["keypoints"] = [f"k{n}" for n in range(17)]

    survey = inspect_folder(changed(drawn, tmp_path / "a", change))
    (found,) = [f.text for f in survey.findings if f.kind == "keypoints without sigmas"]
    assert "category 'person' (id 1)" in found
    assert any("is only here" in finding.text for finding in survey.faults)


def test_a_mended_copy_keeps_keypoints_and_counts_them_again(drawn: Path, tmp_path: Path) -> None:
    def change(document: dict) -> None:
        for entry in document["annotations"]:
            entry["num_keypoints"] = 3  # as some tools write: those of all
            entry["keypoints"] = [str(value) for value in entry["keypoints"]]
            entry["area"] = None

    broken = changed(drawn, tmp_path / "broken", change)
    mend(broken, tmp_path / "mended")
    before, after = (
        json.loads((root / TRAIN).read_text())["annotations"]
        for root in (drawn, tmp_path / "mended")
    )
    for old, new in zip(before, after, strict=True):
        assert new["keypoints"] == old["keypoints"]
        assert new["num_keypoints"] == old["num_keypoints"]
    assert inspect_folder(tmp_path / "mended").faults == []


def document(points: list[float], **entry: Any) -> dict:
    square = [0, 0, 4, 0, 4, 4, 0, 4]
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [square]}
    annotation |= {"bbox": [0, 0, 4, 4], "keypoints": points, **entry}
    return {
        "images": [{"id": 1, "file_name": "a.png", "width": 8, "height": 4}],
        "annotations": [annotation],
        "categories": [{"id": 1, "name": "thing"}],
    }


def test_fractions_become_indices_of_pixels() -> None:
    square = [0.0, 0.0, 0.5, 0.0, 0.5, 1.0, 0.0, 1.0]
    given = document([0.25, 0.5, 2, 0, 0, 0, 1.0, 0.0, 1], segmentation=[square])
    (entry,) = in_pixels(given).document["annotations"]
    assert entry["keypoints"] == [1.5, 1.5, 2, 0, 0, 0, 7.5, 0.0, 1]
    other = document([3, 2, 2], segmentation=[square])
    assert in_pixels(other).document["annotations"][0]["keypoints"] == [3, 2, 2]


TURNS = ("ROTATE_90", "ROTATE_270", "TRANSPOSE", "TRANSVERSE")


@pytest.mark.parametrize("turn", [Image.Transpose[name] for name in TURNS])
def test_keypoints_turn_with_their_picture(turn: Image.Transpose) -> None:
    """A picture of 8 x 4 pixels, whose upright form is 4 x 8."""
    pixels = np.zeros((4, 8), dtype=np.uint8)
    pixels[3, 6] = 1
    upright = np.asarray(Image.fromarray(pixels).transpose(turn))
    ((y, x),) = np.argwhere(upright)
    outline = [5, 0, 8, 0, 8, 4, 5, 4]  # fits into the picture as stored only
    header = Header(stored=(8, 4), turn=turn, deep=False, deep_colour=False)
    mended = upright_sizes(document([6, 3, 2, 0, 0, 0], segmentation=[outline]), {0: header})
    (entry,) = mended.document["annotations"]
    assert entry["keypoints"] == [x, y, 2, 0, 0, 0]
    is_mirrored = turn in (Image.Transpose.TRANSPOSE, Image.Transpose.TRANSVERSE)
    assert [("left" in line) for line in mended.left] == [True] * is_mirrored


@pytest.mark.parametrize("points", [None, "x", [1], [1, 2, None], []])
def test_what_are_no_keypoints_is_left(points: Any) -> None:
    given = document(points, num_keypoints=7)
    assert counted(given).document is given
    assert counted(document([1, 2, 2], num_keypoints="1")).document["annotations"][0][
        "num_keypoints"
    ] == 1  # fmt: skip
    assert as_numbers(given).document is given
