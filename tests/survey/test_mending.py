"""`data mend`: broken folders, mended, are the good ones that they were made of."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from broken_folders import ACCEPTED, BROKEN, SPLIT, SPLITS, coco_file, lay_on_side, without_rle
from broken_folders import edit as edit_files

from pointrend_repro.data.coco import read_coco, segmentation_mask
from pointrend_repro.data.generated.coco_layout import generate_coco
from pointrend_repro.data.generated.settings import GeneratedSettings
from pointrend_repro.data.images import read_image
from pointrend_repro.errors import UserError
from pointrend_repro.survey.layout import CocoFolder, find_layout
from pointrend_repro.survey.mending.planning import Plan, plan_mending
from pointrend_repro.survey.mending.sources import find_sources
from pointrend_repro.survey.mending.writing import write_copy
from pointrend_repro.survey.taking import take_survey

# (category, crowd or not, mask, box) of each object, by the name of the picture without ending
Truth = dict[str, list[tuple[str, bool, str, list[float]]]]


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("good") / "generated"
    settings = GeneratedSettings(
        train_images=6, val_images=4, width_px=128, height_px=80, crowd_image_share=0.125
    )
    generate_coco(root, settings)
    (root / "annotations/lvis_v0.5_val.json").unlink()
    return root


@pytest.fixture(scope="module")
def photographs(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three train and three val images of COCO, with all categories."""
    root = tmp_path_factory.mktemp("good") / "photographs"
    (root / "annotations").mkdir(parents=True)
    for split, count in zip(SPLITS, (3, 3), strict=True):
        source = shared_data / "coco_tiny"
        document = json.loads(coco_file(source, split).read_text())
        document["images"] = document["images"][:count]
        ids = {image["id"] for image in document["images"]}
        document["annotations"] = [a for a in document["annotations"] if a["image_id"] in ids]
        coco_file(root, split).write_text(json.dumps(document))
        (root / f"{split}2017").mkdir()
        for image in document["images"]:
            shutil.copy(source / f"{split}2017" / image["file_name"], root / f"{split}2017")
    return root


def plan(root: Path, **options: Any) -> Plan:
    return plan_mending(find_sources(root), **({"val_share": 0.4, "seed": 0} | options))


def mend(root: Path, out: Path, **options: Any) -> Plan:
    planned = plan(root, **options)
    write_copy(planned, out, link=False)
    return planned


def truths(root: Path) -> dict[str, Truth]:
    folder = find_layout(root)
    assert isinstance(folder, CocoFolder)
    found = {}
    for name, split in folder.splits.items():
        dataset = read_coco(split.images_dir, split.annotations)
        found[name] = {
            image.path.stem.rsplit(" ")[-1]: [
                (
                    dataset.categories[a.label].name,
                    a.is_crowd,
                    digest(segmentation_mask(a.segmentation, image.height, image.width)),
                    list(a.box),
                )
                for a in image.annotations
            ]
            for image in dataset.images
        }
    return found


def digest(pixels: np.ndarray) -> str:
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def assert_same(found: Truth, good: Truth) -> None:
    assert sorted(found) == sorted(good)
    for name, objects in found.items():
        assert [o[:3] for o in objects] == [o[:3] for o in good[name]], name
        for (_, is_crowd, _, box), (*_, wanted) in zip(objects, good[name], strict=True):
            # COCO writes outlines and boxes with two digits, and crowds' boxes less a pixel.
            np.testing.assert_allclose(box, wanted, atol=1.01 if is_crowd else 0.03)


def check_mended(key: str, good: Path, tmp_path: Path) -> None:
    broken, out = tmp_path / "broken", tmp_path / "out"
    shutil.copytree(good, broken)
    BROKEN[key](broken)
    before = tree(broken)
    try:
        refused = bool(take_survey(broken).faults)
    except UserError:
        refused = True
    assert refused == (key not in ACCEPTED)

    mend(broken, out)

    assert tree(broken) == before
    survey = take_survey(out)
    assert not survey.faults, survey.faults
    expected, found = truths(good), truths(out)
    if key == "label-studio 6608: sizes before EXIF":
        expected = without_crowds(expected)
    if key == "cvat 4993: frames with equal names":
        expected, found = ({s: numbered(t[s]) for s in t} for t in (expected, found))
    if key in SPLIT:
        assert found["train"].keys().isdisjoint(found["val"])
        assert len(found["val"]) == int(0.4 * sum(map(len, expected.values())))
        expected, found = ({"all": t["train"] | t["val"]} for t in (expected, found))
    for split, truth in expected.items():
        assert_same(found[split], truth)
    again = plan(out)
    assert (dict(again.done), again.left) == ({}, ())


def without_crowds(truth: dict[str, Truth]) -> dict[str, Truth]:
    return {s: {n: [o for o in t[n] if not o[1]] for n in t} for s, t in truth.items()}


def numbered(truth: Truth) -> Truth:
    return {str(k): truth[name] for k, name in enumerate(sorted(truth))}


@pytest.mark.parametrize("key", sorted(BROKEN))
def test_a_mended_folder_is_the_good_one(key: str, generated: Path, tmp_path: Path) -> None:
    check_mended(key, generated, tmp_path)


@pytest.mark.parametrize("key", sorted(BROKEN))
def test_so_is_one_of_photographs(key: str, photographs: Path, tmp_path: Path) -> None:
    check_mended(key, photographs, tmp_path)
