"""`data mend`: broken folders, mended, are the good ones that they were made of."""

import itertools
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from broken_folders import (
    ACCEPTED,
    BROKEN,
    NO_CROWDS,
    SPLIT,
    SPLITS,
    coco_file,
    edit,
    images,
    pictures,
    without_rle,
)
from mended_folders import Truth, assert_same, digest, mend, plan, read_split, tree, truths
from PIL import Image

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.images import read_image
from pointrend_repro.data.segmentations import segmentation_mask
from pointrend_repro.tools.survey.inspecting import inspect_folder

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def check_mended(key: str, good: Path, tmp_path: Path) -> None:
    broken, out = tmp_path / "broken", tmp_path / "out"
    shutil.copytree(good, broken)
    BROKEN[key](broken)
    before = tree(broken)
    try:
        refused = bool(inspect_folder(broken).faults)
    except UserError:
        refused = True
    assert refused == (key not in ACCEPTED)

    mend(broken, out)

    assert tree(broken) == before
    survey = inspect_folder(out)
    assert not survey.faults, survey.faults
    expected, found = truths(good), truths(out)
    if key in NO_CROWDS:
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


# What depends on what outlines and pictures are like.
ON_PHOTOGRAPHS = (
    "null for box and area",
    "corners",
    "corners of every other object",
    "cvat 2155: all annotation ids 0",
    "points as pairs",
    "ybat 22, myvision 17, supervision 205: one list",
    "no sizes",
    "label-studio 6608: sizes before EXIF",
    "12 bits in 16, TIFF",
    "VIA, all of it",
)


@pytest.mark.parametrize("key", ON_PHOTOGRAPHS)
def test_so_is_one_of_photographs(key: str, photographs: Path, tmp_path: Path) -> None:
    check_mended(key, photographs, tmp_path)


@pytest.mark.parametrize(
    ("orientations", "said"),
    [
        *(([5], True), ([6], True), ([6], False), ([7], True), ([8], True), ([8], None)),
        ([6, 2, 3, 4], True),  # those that lie on their side show how the others were drawn
    ],
)
def test_objects_drawn_on_pictures_that_exif_turns(
    orientations: list[int], said: bool | None, generated: Path, tmp_path: Path
) -> None:
    """A tool that knows nothing of EXIF: all its coordinates are those of the stored picture.

    It writes the stored sizes, or null, or none.
    """
    broken, upright = tmp_path / "broken", tmp_path / "upright"
    shutil.copytree(generated, broken)
    edit(broken, without_rle)
    shutil.copytree(broken, upright)
    # Stored with 80 rows and 128 columns, as they were drawn; upright most have 128 rows.
    turns = {}
    for path, orientation in zip(pictures(broken), itertools.cycle(orientations)):
        with Image.open(path) as image:
            exif = Image.Exif()
            exif[274] = orientation
            image.save(path, exif=exif)
        turns[path.parent.name, path.name] = UPRIGHT[orientation]
    if said is None:
        images(lambda e: e.update(width=None, height=None))(broken)
    elif not said:
        images(lambda e: [e.pop("width"), e.pop("height")])(broken)
    assert inspect_folder(broken).faults
    planned = mend(broken, tmp_path / "out")
    assert planned.left == ()
    assert not inspect_folder(tmp_path / "out").faults
    count = sum(len(t) for truth in truths(upright).values() for t in truth.values())
    assert planned.done["objects drawn on images before they are turned upright (EXIF)"] == count
    for split in SPLITS:
        before, after = (read_split(root, split) for root in (upright, tmp_path / "out"))
        for stored, turned in zip(before.images, after.images, strict=True):
            turn = turns[turned.path.parent.name, turned.path.name]
            upright_size = Image.new("1", (128, 80)).transpose(turn).size
            assert (turned.width, turned.height) == upright_size
            for one, other in zip(stored.annotations, turned.annotations, strict=True):
                mask = segmentation_mask(one.segmentation, 80, 128)
                picture = Image.fromarray(mask).transpose(turn)
                drawn = segmentation_mask(other.segmentation, turned.height, turned.width)
                wrong = (np.asarray(picture) != drawn).sum()
                # pycocotools rounds outlines up on one side: a row of pixels may differ.
                assert wrong <= 0.5 * np.sqrt(mask.sum()) * 4 + 4


def test_pictures_of_12_bits_keep_one_range(generated: Path, tmp_path: Path) -> None:
    broken, out = tmp_path / "broken", tmp_path / "out"
    shutil.copytree(generated, broken)
    BROKEN["12 bits in 16, TIFF"](broken)
    dark, *others = pictures(broken)
    with Image.open(dark) as image:
        darker = (np.asarray(image) // 16).astype(np.uint16)
    Image.fromarray(darker).save(dark)
    planned = mend(broken, out)
    assert planned.bits == 12
    for path in [dark, *others]:
        with Image.open(path) as image:
            deep = np.asarray(image).astype(float)
        found = read_image(out / path.relative_to(broken))
        np.testing.assert_array_equal(found[:, :, 0], np.rint(deep * 255 / 4095))


@pytest.mark.parametrize(("ending", "top"), [(".png", 4095), (".tif", 1023), (".png", 65535)])
def test_pictures_of_16_bits_in_colour(
    ending: str, top: int, generated: Path, tmp_path: Path
) -> None:
    """Pillow reads their upper 8 bits: right of all 16, and next to black of 12 or 10."""
    broken, out = tmp_path / "broken", tmp_path / "out"
    shutil.copytree(generated, broken)
    good = {path.stem: read_image(path) for path in pictures(broken)}
    for path in pictures(broken):
        deep = (good[path.stem].astype(np.uint32) * top // 255).astype(np.uint16)
        deep[0, 0], good[path.stem][0, 0] = (top, 0, 0), (255, 0, 0)
        cv2.imwrite(str(path.with_suffix(ending)), deep[:, :, ::-1])
        path.unlink()
    images(lambda e: e.update(file_name=e["file_name"].replace(".jpg", ending)))(broken)
    survey = inspect_folder(broken)
    assert not survey.faults
    kinds = [f.kind for f in survey.findings]
    assert kinds.count("colour images of 16 bits a channel") == len(good)
    if top == 65535:
        assert dict(plan(broken).done) == {}
        return
    assert mend(broken, out).done["pictures of more than 8 bits a channel"] == len(good)
    for path in pictures(out):
        assert np.abs(read_image(path).astype(int) - good[path.stem]).max() <= 1
    assert not plan(out).done


def test_what_is_right_is_left_byte_for_byte(generated: Path, tmp_path: Path) -> None:
    broken, out = tmp_path / "broken", tmp_path / "out"
    shutil.copytree(generated, broken)
    (broken / "notes/more").mkdir(parents=True)
    (broken / "notes/more/read me.txt").write_text("mine")
    path = coco_file(broken, "val")
    document = json.loads(path.read_text())
    for entry in document["annotations"][::3]:
        del entry["area"]
    path.write_text(json.dumps(document))
    planned = mend(broken, out)
    assert list(planned.done) == ["areas that were absent, 0 or negative, from the mask"]
    before, after = tree(broken), tree(out)
    assert [name for name in before if before[name] != after[name]] == [
        "annotations/instances_val2017.json"
    ]
    mended = json.loads(coco_file(out, "val").read_text())
    for k, entry in enumerate(document["annotations"]):
        changed = dict(mended["annotations"][k])
        if not k % 3:
            assert changed.pop("area") > 0
        assert list(changed.items()) == list(entry.items())
    rest = {key: value for key, value in mended.items() if key != "annotations"}
    assert rest == {key: value for key, value in document.items() if key != "annotations"}


def test_equal_pictures_are_not_on_both_sides(generated: Path, tmp_path: Path) -> None:
    """Neither under another name, nor in another file format."""
    broken = tmp_path / "broken"
    shutil.copytree(generated, broken)
    BROKEN["Label Studio: one file"](broken)
    path = broken / "result.json"
    document = json.loads(path.read_text())
    for k, image in enumerate(list(document["images"][:5])):
        source = broken / "images" / image["file_name"]
        name = f"again_{k}" + (".png" if k % 2 else ".jpg")
        if k % 2:
            Image.fromarray(read_image(source)).save(broken / "images" / name)
        else:
            shutil.copy(source, broken / "images" / name)
        document["images"].append(image | {"id": 90_000 + k, "file_name": name})
    path.write_text(json.dumps(document))
    for seed in range(4):
        out = tmp_path / f"out{seed}"
        mend(broken, out, seed=seed)
        sides = [
            {digest(read_image(i.path)) for i in read_split(out, s, "").images} for s in SPLITS
        ]
        assert all(sides)
        assert sides[0].isdisjoint(sides[1])
        assert len(sides[0] | sides[1]) == 10
        assert not inspect_folder(out).faults
    splits = [tree(tmp_path / f"out{s}")["annotations/instances_val.json"] for s in range(4)]
    assert len(set(splits)) > 1  # the seed decides
    mend(broken, tmp_path / "again", seed=0)
    assert tree(tmp_path / "again") == tree(tmp_path / "out0")


def test_pictures_of_another_folder_than_most(generated: Path, tmp_path: Path) -> None:
    """Right names stay, also where the others' folder has pictures of the same names."""
    broken, out = tmp_path / "broken", tmp_path / "out"
    shutil.copytree(generated, broken)
    (broken / "more").mkdir()
    document = json.loads(coco_file(broken, "train").read_text())
    for k, image in enumerate(document["images"]):
        file = broken / "train2017" / image["file_name"]
        if k % 2:
            file.rename(broken / "more" / file.name)
            image["file_name"] = f"https://host.example/more/{file.name}"
        else:  # grey, to be told from the right one
            Image.new("RGB", (128, 80), "grey").save(broken / "more" / file.name)
    coco_file(broken, "train").write_text(json.dumps(document))
    assert mend(broken, out).left == ()
    assert not inspect_folder(out).faults
    mended = json.loads(coco_file(out, "train").read_text())["images"]
    good = json.loads(coco_file(generated, "train").read_text())["images"]
    for k, (image, right) in enumerate(zip(mended, good, strict=True)):
        where = "../more/" if k % 2 else ""
        assert image == right | {"file_name": f"{where}{right['file_name']}"}


def test_deep_pictures_that_are_named_in_a_roundabout_way(generated: Path, tmp_path: Path) -> None:
    broken, out = tmp_path / "broken", tmp_path / "out"
    shutil.copytree(generated, broken)
    BROKEN["16 bits"](broken)
    images(lambda e: e.update(file_name=f"../{SPLITS[e['id'] > 1000]}2017/{e['file_name']}"))(
        broken
    )
    for split in SPLITS:  # one name by which the folder is found
        document = json.loads(coco_file(broken, split).read_text())
        document["images"][0]["file_name"] = document["images"][0]["file_name"].split("/")[-1]
        coco_file(broken, split).write_text(json.dumps(document))
    mend(broken / "val2017" / "..", out)
    assert not inspect_folder(out).faults
    assert truths(out) == truths(generated)
