"""Generated people: plausible keypoints in COCO's layout, which our reader and pycocotools read."""

import contextlib
import io
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from shapely.geometry import Point

from pointrend_repro.config.datasets import Dataset
from pointrend_repro.config.reading import load_dataset
from pointrend_repro.data.check import describe_dataset
from pointrend_repro.data.generated.people import sample_person
from pointrend_repro.data.generated.people_layout import generate_people
from pointrend_repro.data.generated.people_scenes import sample_people
from pointrend_repro.data.generated.poses import sample_body
from pointrend_repro.data.keypoints import COCO_PERSON
from pointrend_repro.data.paths import UserData, data_paths
from pointrend_repro.settings.generated import GeneratedSettings
from pointrend_repro.settings.identity import identity

SETTINGS = GeneratedSettings(
    train_images=8, val_images=16, width_px=192, height_px=144, subject="people"
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people") / "data"
    generate_people(folder, SETTINGS)
    return folder


@pytest.fixture(scope="module")
def coco(root: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(root / "annotations/person_keypoints_val2017.json"))


def test_our_reader_and_checks_accept_it(root: Path) -> None:
    config = load_dataset("generated_people")
    described = describe_dataset(
        "generated_people", config, data_paths("generated_people", config, UserData(root))
    )
    assert described["categories"] == ["person"]
    assert described["keypoints"] == list(COCO_PERSON)
    for split, images in (("train", 8), ("val", 16)):
        counts = described[split]
        assert counts["images"] == images
        assert counts["images_without_objects"] == 1
        assert 0 < counts["objects_with_keypoints"] <= counts["objects"]
    assert described["train"]["crowd_regions"] == 1


def test_it_has_what_cocos_people_have(coco: COCO) -> None:
    people = [a for a in coco.dataset["annotations"] if not a["iscrowd"]]
    flags = np.array([a["keypoints"][2::3] for a in people])
    assert {0, 1, 2} == set(flags.ravel())
    assert (flags == 2).mean() > 0.4
    assert any(a["num_keypoints"] == 0 for a in people)
    # Small ones are without keypoints; the official tool's two other sizes have some.
    areas = [a["area"] for a in people if a["num_keypoints"]]
    assert any(32**2 < area < 96**2 for area in areas)
    assert any(area > 96**2 for area in areas)
    truncated = [a for a in people if (np.array(a["keypoints"][2::3])[11:] == 0).any()]
    assert truncated
    for entry in coco.dataset["annotations"]:
        points = np.reshape(entry["keypoints"], (-1, 3))
        assert entry["num_keypoints"] == (points[:, 2] > 0).sum()
        assert not points[points[:, 2] == 0].any()
        assert (points[:, :2] >= 0).all()
        assert (points[:, 0] < 192).all()
        assert (points[:, 1] < 144).all()


def test_visible_keypoints_lie_in_the_mask_of_their_person(coco: COCO) -> None:
    inside = []
    for entry in coco.dataset["annotations"]:
        mask = coco.annToMask(entry)
        near = mask.copy()  # annotated outlines are coarse: up to three pixels off
        for shift in range(1, 4):
            for axis in (0, 1):
                near |= np.roll(mask, shift, axis) | np.roll(mask, -shift, axis)
        for x, y, flag in np.reshape(entry["keypoints"], (-1, 3)):
            if flag == 2:
                inside.append(near[y, x])
    assert np.mean(inside) > 0.97


def test_left_is_on_the_right_of_who_looks_at_the_camera() -> None:
    rng = np.random.default_rng(0)
    seen = {True: 0, False: 0}
    for _ in range(60):
        body = sample_body(rng)
        facing = np.cos(np.deg2rad(body.yaw_deg))
        if abs(facing) < 0.3:
            continue
        left, right = body.joints["left_shoulder"], body.joints["right_shoulder"]
        assert (left[0] > right[0]) == (facing > 0)
        assert (body.joints["nose"][2] > body.joints["head"][2]) == (facing > 0)
        seen[bool(facing > 0)] += 1
    assert min(seen.values()) > 5


def test_limbs_keep_their_lengths_and_bend_at_their_joints() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        joints = sample_body(rng).joints
        for side in ("left", "right"):
            for names, lengths in (
                (("shoulder", "elbow", "wrist"), (0.16, 0.15)),
                (("hip", "knee", "ankle"), (0.23, 0.23)),
            ):
                points = [joints[f"{side}_{name}"] for name in names]
                found = [np.linalg.norm(b - a) for a, b in pairwise(points)]
                assert found == pytest.approx(lengths)


def test_a_face_that_looks_away_is_not_labelled_and_a_covered_point_is_hidden() -> None:
    rng = np.random.default_rng(2)
    unknown, hidden = [], 0
    for _ in range(40):
        person = sample_person(rng, height_px=100, center_px=(96, 72))
        unknown.append(tuple(person.unknown[:3]))
        assert not person.unknown[5:].any()
        hidden += person.hidden.sum()
        for place, point in enumerate(person.keypoints):
            if not person.unknown[place]:
                assert person.outline.distance(Point(point)) < 3
    assert {(True, True, True), (False, False, False)} <= set(unknown)
    assert 0 < hidden < 40 * 8


def test_who_stands_behind_is_hidden() -> None:
    scenes = (sample_people(SETTINGS, "val", index) for index in range(100))
    scene = next(scene for scene in scenes if sum(not each.in_crowd for each in scene) > 2)
    front = next(each for each in scene if each.keypoints is not None)
    assert (front.keypoints[:, 2] == 2).any()
    areas = [each.visible for each in scene]
    for index, one in enumerate(areas):
        assert all(one.intersection(other).area < 1e-6 for other in areas[index + 1 :])


def test_the_same_settings_draw_the_same_bytes(root: Path, tmp_path: Path) -> None:
    generate_people(tmp_path / "again", SETTINGS)
    files = sorted(p.relative_to(root) for p in root.rglob("*") if p.is_file())
    assert files == sorted(
        p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*") if p.is_file()
    )
    for file in files:
        assert (root / file).read_bytes() == (tmp_path / "again" / file).read_bytes()
    with Image.open(root / "train2017" / "000000000001.jpg") as image:
        assert image.size == (192, 144)


def test_things_are_drawn_as_before_there_were_people() -> None:
    things = GeneratedSettings(train_images=1, val_images=1, width_px=192, height_px=144)
    assert things.subject == "things"
    assert "subject" not in identity(things)
    assert identity(SETTINGS)["subject"] == "people"


def test_people_are_for_cocos_layout_only() -> None:
    with pytest.raises(ValueError, match="subject people: for layout coco, not cityscapes"):
        Dataset(title="x", layout="cityscapes", root="x", num_classes=1, generate=SETTINGS)


def test_the_category_is_cocos(root: Path, shared_data: Path) -> None:
    content = json.loads((root / "annotations/person_keypoints_train2017.json").read_text())
    path = shared_data / "coco_keypoints_tiny/annotations/person_keypoints_train2017.json"
    if not path.is_file():
        pytest.skip("coco_keypoints_tiny is not among the real test data")
    assert content["categories"] == json.loads(path.read_text())["categories"]
