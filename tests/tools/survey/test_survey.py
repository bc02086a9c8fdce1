"""`data check FOLDER`: what is found in a folder, what is wrong with it, and what is proposed."""

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pointrend_repro.base.errors import UserError
from pointrend_repro.config.datasets import Dataset
from pointrend_repro.config.papers import load_paper
from pointrend_repro.data.check import describe_dataset
from pointrend_repro.data.coco import Category, read_coco
from pointrend_repro.data.examples import read_record
from pointrend_repro.data.generated.cityscapes_layout import generate_cityscapes
from pointrend_repro.data.paths import UserData, data_paths
from pointrend_repro.settings.generated import GeneratedSettings
from pointrend_repro.tools.survey.inspecting import Survey, as_data, inspect_folder
from pointrend_repro.tools.survey.layout import CityscapesFolder, CocoFolder, find_layout
from pointrend_repro.tools.survey.measuring import Shapes
from pointrend_repro.tools.survey.proposing import propose
from pointrend_repro.tools.survey.text import NAMED_OF_EACH_KIND, to_text
from pointrend_repro.tools.survey.writing import to_yaml

Entry = dict[str, Any]
WIDTH, HEIGHT = 48, 32


@dataclass
class Place:
    """The image and the annotation that a defect is put into, and all around them."""

    image: Entry
    annotation: Entry
    document: Entry
    file: Path


def write_split(root: Path, split: str, count: int, hurt: Callable[[int, Place], None]) -> None:
    """Images `split/<k>.png`, with one object each, and `labels/<split>.json`."""
    folder, first = root / split, 1 if split == "train" else 501
    folder.mkdir(parents=True)
    (root / "labels").mkdir(exist_ok=True)
    document: Entry = {"categories": [{"id": 5, "name": "nut"}, {"id": 2, "name": "bolt"}]}
    images, annotations = [], []
    for k in range(first, first + count):
        pixels = np.full((HEIGHT, WIDTH, 3), k % 250, np.uint8)
        pixels[:, :, 0] = k // 250
        Image.fromarray(pixels).save(folder / f"{k}.png")
        images.append({"id": k, "file_name": f"{k}.png", "width": WIDTH, "height": HEIGHT})
        annotations.append(
            {
                "id": 10 * k,
                "image_id": k,
                "category_id": (2, 5)[k % 2],
                "bbox": [20, 10, 20, 15],
                "segmentation": [[20, 10, 40, 10, 40, 25, 30, 25, 20, 25]],
                "area": 300,
                "iscrowd": 0,
            }
        )
    document |= {"images": images, "annotations": annotations}
    for k, pair in enumerate(list(zip(images, annotations, strict=True))):
        hurt(k, Place(*pair, document, folder / f"{k + first}.png"))
    (root / "labels" / f"{split}.json").write_text(json.dumps(document))


def no_harm(k: int, place: Place) -> None:
    pass


@dataclass(frozen=True)
class Defect:
    """What is done to one image with its object, and what must be told of it."""

    do: Callable[[Place], object]
    kind: str
    told: str  # of the image's id k
    must_mend: bool = True


def also(place: Place, **changes: Any) -> None:
    place.document["annotations"].append(place.annotation | changes)


def rle(place: Place, counts: list[int], size: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
    place.annotation["segmentation"] = {"size": list(size), "counts": counts}


def copy_of_neighbour(place: Place) -> None:
    shutil.copy(place.file, place.file.with_name(f"copy{place.image['id']}.png"))
    new = {"id": 9000 + place.image["id"], "file_name": f"copy{place.image['id']}.png"}
    place.document["images"].append(place.image | new)


DEFECTS = {
    "missing file": Defect(
        lambda p: p.file.unlink(), "images that are not on disk", "{k}.png is not on disk"
    ),
    "cut file": Defect(
        lambda p: p.file.write_bytes(p.file.read_bytes()[:60]),
        "images that cannot be trained on",
        "{k}.png: not a whole image",
    ),
    "no picture": Defect(
        lambda p: p.file.write_text("not found"),
        "images that cannot be trained on",
        "{k}.png: not a whole image",
    ),
    "another size": Defect(
        lambda p: Image.new("RGB", (HEIGHT, WIDTH)).save(p.file),
        "images that cannot be trained on",
        "{k}.png: is 32x48 pixels, but its annotation says 48x32",
    ),
    "text for a width": Defect(
        lambda p: p.image.update(width="48"), "wrong image entries", "image {k}: width is '48'"
    ),
    "size that no image has": Defect(
        lambda p: p.image.update(width=10**9, height=10**9),
        "wrong image entries",
        "image {k}: is 1000000000 x 1000000000 pixels",
    ),
    "image id twice": Defect(
        lambda p: p.document["images"].append(dict(p.image)),
        "wrong image entries",
        "image {k}: its id appears twice",
    ),
    "no box": Defect(
        lambda p: p.annotation.pop("bbox"),
        "wrong annotations",
        "annotation {k}0 (image {k}) has no",
    ),
    "flat box": Defect(
        lambda p: p.annotation.update(bbox=[3, 3, 0, 4]),
        "wrong annotations",
        "annotation {k}0 (image {k}) has bbox [3, 3, 0, 4] of zero area",
    ),
    "corners": Defect(
        lambda p: p.annotation.update(bbox=[20, 10, 40, 25]),
        "boxes written as corners",
        "annotation {k}0 (image {k}) has bbox [x0, y0, x1, y1]",
    ),
    # A right box of an object that is partly hidden may look like this.
    "perhaps corners": Defect(
        lambda p: p.annotation.update(
            segmentation=[[2, 1, 20, 1, 20, 15, 2, 15]], bbox=[2, 1, 20, 15]
        ),
        "boxes that may be written as corners",
        "annotation {k}0 (image {k}) has a bbox that would fit its mask as",
        must_mend=False,
    ),
    "unknown category": Defect(
        lambda p: p.annotation.update(category_id=3),
        "wrong annotations",
        "annotation {k}0 (image {k}) names category 3",
    ),
    "half a point": Defect(
        lambda p: p.annotation.update(segmentation=[[1, 1, 9, 1, 9, 9, 4]]),
        "wrong annotations",
        "annotation {k}0 (image {k}) has a polygon with an odd number",
    ),
    "short RLE": Defect(
        lambda p: rle(p, [5, 7]),
        "wrong annotations",
        "annotation {k}0 (image {k}) has an RLE of 12",
    ),
    "turned RLE": Defect(
        lambda p: rle(p, [0, WIDTH * HEIGHT], (WIDTH, HEIGHT)),
        "wrong annotations",
        "annotation {k}0 (image {k}) has an RLE of size [48, 32]",
    ),
    "no area": Defect(
        lambda p: p.annotation.pop("area"),
        "wrong annotations",
        "annotation {k}0 (image {k}) has area None",
    ),
    "negative area": Defect(
        lambda p: p.annotation.update(area=-300),
        "wrong annotations",
        "annotation {k}0 (image {k}) has area -300; write the pixels of its mask",
    ),
    "area without a number": Defect(
        lambda p: p.annotation.update(area=float("nan")),
        "wrong annotations",
        "annotation {k}0 (image {k}) has area nan",
    ),
    "area of 0": Defect(
        lambda p: p.annotation.update(area=0),
        "areas of 0",
        "annotation {k}0 (image {k}) has area 0, its mask 300 pixels",
        must_mend=False,
    ),
    "large area": Defect(
        lambda p: p.annotation.update(area=601),
        "areas that do not fit their mask",
        "annotation {k}0 (image {k}) has area 601, its mask 300 pixels",
        must_mend=False,
    ),
    "small area": Defect(
        lambda p: p.annotation.update(area=149),
        "areas that do not fit their mask",
        "annotation {k}0 (image {k}) has area 149, its mask 300 pixels",
        must_mend=False,
    ),
    "annotation id twice": Defect(
        lambda p: also(p, bbox=[20, 10, 20, 14]),
        "wrong annotations",
        "annotation {k}0 (image {k}) has the id of another",
    ),
    "object twice": Defect(
        lambda p: also(p, id=7000 + p.image["id"]),
        "objects that are annotated twice",
        "image {k} ({k}.png)",
        must_mend=False,
    ),
    "box of another": Defect(
        lambda p: p.annotation.update(bbox=[1, 1, 5, 5]),
        "masks mostly outside their box",
        "annotation {k}0 (image {k}) has bbox [1, 1, 6, 6]",
    ),
    "box of a part": Defect(
        lambda p: p.annotation.update(bbox=[20, 10, 10, 14]),
        "boxes that do not fit their mask",
        "annotation {k}0 (image {k}) has bbox [20, 10, 30, 24]",
        must_mend=False,
    ),
    "mask beside the image": Defect(
        lambda p: p.annotation.update(
            bbox=[60, 10, 20, 15], segmentation=[[60, 10, 80, 10, 80, 25, 70, 25, 60, 25]]
        ),
        "masks outside their image",
        "annotation {k}0 (image {k}) has its mask at [60, 10, 80, 25]",
    ),
    "mask that leads far away": Defect(
        lambda p: p.annotation.update(
            bbox=[20, 10, 9e5, 15], segmentation=[[20, 10, 9e5, 10, 40, 25]]
        ),
        "masks outside their image",
        "annotation {k}0 (image {k}) has its mask at [20, 10, 900000, 25]",
    ),
    "mask that leads nowhere": Defect(
        lambda p: p.annotation.update(
            bbox=[20, 10, 9e11, 15], segmentation=[[20, 10, 9e11, 10, 40, 25]]
        ),
        "wrong annotations",
        "annotation {k}0 (image {k}) has a polygon with a coordinate of 900000000000.0, beyond",
    ),
    "mask in fractions": Defect(
        lambda p: p.annotation.update(
            bbox=[0.4, 0.3, 0.4, 0.5], segmentation=[[0.4, 0.3, 0.8, 0.3, 0.8, 0.8]]
        ),
        "masks without a pixel",
        "annotation {k}0 (image {k}) covers less than a pixel",
        must_mend=False,
    ),
    "out of the image": Defect(
        lambda p: p.annotation.update(
            bbox=[18, 10, 34, 15], segmentation=[[18, 10, 52, 10, 52, 25]]
        ),
        "boxes that reach out of the image",
        "annotation {k}0 (image {k}) by 4 px",
        must_mend=False,
    ),
    "empty mask": Defect(
        lambda p: rle(p, [WIDTH * HEIGHT]),
        "masks without a pixel",
        "annotation {k}0 (image {k}) covers less than a pixel",
        must_mend=False,
    ),
    "same picture": Defect(
        copy_of_neighbour, "images with the same bytes", "/copy{k}.png", must_mend=False
    ),
}


def is_accepted(folder: CocoFolder) -> bool:
    """Whether the pipeline would read all of it."""
    try:
        for split in folder.splits.values():
            for record in read_coco(split.images_dir, split.annotations).images:
                read_record(record)
    except UserError:
        return False
    return True


@given(st.lists(st.sampled_from(sorted(DEFECTS)), max_size=6), st.sampled_from(["train", "val"]))
@settings(max_examples=30, deadline=None)
def test_every_defect_is_found_and_named_and_nothing_else(names: list[str], where: str) -> None:
    def hurt(k: int, place: Place) -> None:
        if k < len(names):
            DEFECTS[names[k]].do(place)

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for split in ("train", "val"):
            write_split(root, split, 8, hurt if split == where else no_harm)
        survey = inspect_folder(root)
        accepted = is_accepted(find_layout(root))
    first = 1 if where == "train" else 501
    for k, name in enumerate(names, start=first):
        defect = DEFECTS[name]
        told = [
            f
            for f in survey.findings
            if f.kind == defect.kind and defect.told.format(k=k) in f.text and where in f.text
        ]
        assert [f.must_mend for f in told] == [defect.must_mend], name
    # An image without a size makes its object one of no image.
    expected = len(names) + sum(map(names.count, ("text for a width", "size that no image has")))
    empty = [n for n in names if DEFECTS[n].kind == "masks without a pixel"]
    expected += bool(empty)  # more than 1 in 100, so the file is wrong, too
    assert len(survey.findings) == expected, survey.findings
    known_only_here = {
        *("corners", "no area", "negative area", "area without a number", "box of another"),
        *("mask beside the image", "mask that leads far away"),
    }
    faults = [name for name in names if DEFECTS[name].must_mend]
    assert accepted == (not set(faults) - known_only_here)


@pytest.mark.parametrize("name", sorted(DEFECTS))
def test_each_defect_alone(name: str, tmp_path: Path) -> None:
    """What the random ones may miss."""
    write_split(tmp_path, "val", 3, no_harm)
    write_split(tmp_path, "train", 4, lambda k, p: DEFECTS[name].do(p) if k == 1 else None)
    survey = inspect_folder(tmp_path)
    assert DEFECTS[name].kind in {f.kind for f in survey.findings}
    # One of four is more than 1 in 100, which is too many.
    is_empty = DEFECTS[name].kind == "masks without a pixel"
    assert bool(survey.faults) == (DEFECTS[name].must_mend or is_empty)
    assert DEFECTS[name].told.format(k=2) in to_text(survey)


def test_areas_of_crowds_are_looked_at_and_those_of_a_few_pixels_are_not(tmp_path: Path) -> None:
    def crowd_and_dot(k: int, place: Place) -> None:
        if k == 0:
            rle(place, [0, WIDTH * HEIGHT])
            place.annotation.update(iscrowd=1, bbox=[0, 0, WIDTH, HEIGHT], area=100)
        if k == 1:  # of 9 pixels
            dot = [20, 10, 23, 10, 23, 13, 20, 13]
            place.annotation.update(segmentation=[dot], bbox=[20, 10, 3, 3], area=2)

    write_split(tmp_path, "train", 4, crowd_and_dot)
    write_split(tmp_path, "val", 2, no_harm)
    survey = inspect_folder(tmp_path)
    told, many = survey.findings
    assert "1 of 4 objects have iscrowd 1" in many.text
    assert (told.kind, told.must_mend) == ("areas that do not fit their mask", False)
    assert "annotation 10 (image 1) has area 100, its mask 1536 pixels" in told.text


@pytest.mark.parametrize("ending", [".jpg", ".png", ".tif"])
def test_images_that_are_turned_and_keep_their_size(ending: str, tmp_path: Path) -> None:
    """Upside down, mirrored, or square: the sizes of their entries are right either way."""

    def turn(k: int, place: Place) -> None:
        orientation, size = [(1, WIDTH), (3, WIDTH), (4, WIDTH), (6, HEIGHT), (6, WIDTH)][k]
        file, exif = place.file.with_suffix(ending), Image.Exif()
        exif[274] = orientation
        stored = (WIDTH, HEIGHT) if orientation < 5 else (HEIGHT, size)
        with Image.open(place.file) as image:
            resized = image.resize(stored)
        place.file.unlink()
        resized.save(file, exif=exif)
        place.image.update(file_name=file.name, width=size if orientation > 4 else WIDTH)
        place.annotation.update(bbox=[10, 10, 20, 15], segmentation=[[10, 10, 30, 10, 30, 25]])

    write_split(tmp_path, "train", 5, turn)
    write_split(tmp_path, "val", 2, no_harm)
    survey = inspect_folder(tmp_path)
    told = [f for f in survey.findings if "EXIF" in f.kind]
    assert not survey.faults
    assert [Path(f.text.split(" is turned")[0]).stem for f in told] == ["2", "3", "4"]


def test_all_are_counted_though_not_all_are_printed(tmp_path: Path) -> None:
    write_split(tmp_path, "val", 2, no_harm)
    count = NAMED_OF_EACH_KIND + 3
    write_split(tmp_path, "train", count, lambda k, p: p.file.unlink() if k else None)
    survey = inspect_folder(tmp_path)
    text = to_text(survey)
    assert f"images that are not on disk: {count - 1}" in text
    assert text.count(".png is not on disk") == NAMED_OF_EACH_KIND
    assert "and 2 more" in text
    assert len(as_data(survey)["findings"]) == count - 1


def test_categories_of_one_split_alone(tmp_path: Path) -> None:
    def rename(k: int, place: Place) -> None:
        place.document["categories"][0]["name"] = "nail"

    write_split(tmp_path, "train", 3, no_harm)
    write_split(tmp_path, "val", 3, rename)
    told = [f.text for f in inspect_folder(tmp_path).faults]
    assert [t.split(": ")[1].split(" is")[0] for t in told] == [
        "'nut' with id 5",
        "'nail' with id 5",
    ]
    assert "labels/train.json" in told[0]
    assert "labels/val.json" in told[1]


def test_categories_and_files_named_as_in_3d_future(tmp_path: Path) -> None:
    def rename(k: int, place: Place) -> None:
        for entry in place.document["categories"]:
            name = entry.pop("name", None) or entry["fine-grained category name"]
            entry |= {"category_name": "hardware", "fine-grained category name": name}
        place.file.rename(place.file.with_suffix(".jpg"))
        place.image["file_name"] = place.file.stem

    for split, count in (("train", 3), ("val", 2)):
        write_split(tmp_path, split, count, rename)
    survey = inspect_folder(tmp_path)
    assert survey.findings == ()
    assert [category.name for category in survey.splits["train"].categories] == ["bolt", "nut"]
    assert survey.splits["train"].unlisted == 0


def test_what_is_counted(tmp_path: Path) -> None:
    def some(k: int, place: Place) -> None:
        if k == 0:
            place.annotation["iscrowd"] = 1
            rle(place, [0, WIDTH * HEIGHT])
        if k == 1:
            place.annotation["area"] = 96**2 + 1
        if k == 2:
            place.document["annotations"].remove(place.annotation)

    write_split(tmp_path, "train", 5, some)
    write_split(tmp_path, "val", 2, no_harm)
    (tmp_path / "train/spare.png").write_bytes(b"")
    (tmp_path / "train/notes.txt").write_text("")
    survey = inspect_folder(tmp_path, sample=3)
    counts = survey.counts["train"]
    assert (counts.images, counts.images_without_objects) == (5, 2)
    assert (counts.objects, counts.crowd_regions) == (3, 1)
    assert (counts.small, counts.medium, counts.large) == (2, 0, 1)
    assert counts.forms == {"polygons": 3, "uncompressed RLE": 1}
    assert counts.by_class == (2, 1)  # of ids 2 and 5: images 4, 2 and 5
    assert survey.splits["train"].unlisted == 1
    assert survey.opened == {"train": 3, "val": 2}


def test_objects_that_a_tool_marked_as_crowds(tmp_path: Path) -> None:
    """As Datumaro marks whatever was drawn by brush; COCO has 1 in 100."""

    def brush(k: int, place: Place) -> None:
        rle(place, [HEIGHT * WIDTH // 2, HEIGHT * WIDTH // 2])
        place.annotation.update(bbox=[24, 0, 24, HEIGHT], area=24 * HEIGHT, iscrowd=int(k < 2))

    write_split(tmp_path, "train", 30, brush)
    write_split(tmp_path, "val", 60, brush)
    (found,) = inspect_folder(tmp_path).findings
    assert not found.must_mend
    assert "train.json: 2 of 30 objects have iscrowd 1: not trained on, not scored" in found.text
    shutil.rmtree(tmp_path / "val")
    write_split(tmp_path, "val", 2, brush)
    (fault,) = inspect_folder(tmp_path).faults
    assert "val.json: no object of it can be used, so there is nothing to do: 2 of 2" in fault.text


def test_boxes_that_a_tool_wrote_as_outlines(tmp_path: Path) -> None:
    """As VIA 2 and SAHI do (aimbsg/EVA4_S12, 9a7c57a: all 49; obss/sahi, 9a4e569: all 22)."""

    def box(k: int, place: Place) -> None:
        if k < 3:
            place.annotation["segmentation"] = [[20, 10, 40, 10, 40, 25, 20, 25]]

    write_split(tmp_path, "train", 5, box)
    write_split(tmp_path, "val", 6, box)
    (found,) = inspect_folder(tmp_path).findings
    assert not found.must_mend
    assert found.text.endswith(
        "train.json: 3 of 5 objects; if boxes were drawn, no outline can be learnt"
    )


# --- layouts ---------------------------------------------------------------------------------


def move(root: Path, names: dict[str, str]) -> Path:
    for old, new in names.items():
        (root / new).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(root / old, root / new)
    return root


LAYOUTS: dict[str, tuple[dict[str, str], str, str]] = {
    "COCO's": (
        {"labels": "annotations", "train": "train2017", "val": "val2017"},
        "train2017",
        "annotations/train.json",
    ),
    "beside the images": (
        {
            "labels/train.json": "train/_annotations.coco.json",
            "labels/val.json": "valid/_annotations.coco.json",
            "val": "valid/images",
        },
        "train",
        "train/_annotations.coco.json",
    ),
    "deep and odd": (
        {"train": "a b/c", "val": "d", "labels/train.json": "x/y/My-Training_3.JSON"},
        "a b/c",
        "x/y/My-Training_3.JSON",
    ),
    "test for val": (
        {"val": "held", "labels/val.json": "t/test.json"},
        "train",
        "labels/train.json",
    ),
    "a folder called training": (
        {"labels": "training/labels", "train": "training/a", "val": "training/b"},
        "training/a",
        "training/labels/train.json",
    ),
}


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_files_are_found_wherever_they_are(name: str, tmp_path: Path) -> None:
    names, images, annotations = LAYOUTS[name]
    for split in ("train", "val"):
        write_split(tmp_path, split, 2, no_harm)
    folder = find_layout(move(tmp_path, names))
    assert isinstance(folder, CocoFolder)
    assert folder.splits["train"].annotations == tmp_path / annotations
    assert folder.splits["train"].images_dir == tmp_path / images
    assert not inspect_folder(tmp_path).faults


def test_equal_file_names_in_both_splits_and_subfolders_in_names(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_split(tmp_path, split, 2, no_harm)
        path = tmp_path / f"labels/{split}.json"
        document = json.loads(path.read_text())
        for k, image in enumerate(document["images"]):
            target = tmp_path / split / f"deep/{k}.png"
            target.parent.mkdir(exist_ok=True)
            (tmp_path / split / image["file_name"]).rename(target)
            image["file_name"] = f"./deep/{k}.png"
        path.write_text(json.dumps(document))
    folder = find_layout(tmp_path)
    assert isinstance(folder, CocoFolder)
    assert [s.images_dir.name for s in folder.splits.values()] == ["train", "val"]
    assert not inspect_folder(tmp_path).findings


def told_of(root: Path, **files: Path) -> str:
    with pytest.raises(UserError) as told:
        find_layout(root, **files)
    assert "\n" not in str(told.value)
    return str(told.value)


def test_folders_that_cannot_be_told(tmp_path: Path) -> None:
    assert "no such folder" in told_of(tmp_path / "none")
    (tmp_path / "data.json").write_text("[]")
    assert "holds neither COCO's annotations" in told_of(tmp_path)
    write_split(tmp_path, "train", 2, no_harm)
    assert "no COCO file with 'val' or 'dev' or 'test'" in told_of(tmp_path)
    write_split(tmp_path, "val", 2, no_harm)
    labels = tmp_path / "labels"
    assert "would be trained and validated on" in told_of(tmp_path, train=labels / "val.json")
    shutil.copy(labels / "train.json", labels / "train_old.json")
    several = told_of(tmp_path)
    assert "several train files: labels/train.json, labels/train_old.json; say --train" in several
    find_layout(tmp_path, train=labels / "train.json")
    (labels / "train.json").write_text('{"images": [')
    assert "labels/train.json: not valid JSON" in told_of(tmp_path)


def test_json_beside_the_annotations(tmp_path: Path) -> None:
    """Logs of trainings have a text in each line, and labelme a file for each image."""
    for split in ("train", "val"):
        write_split(tmp_path, split, 2, no_harm)
    (tmp_path / "train_log.json").write_text('{"mode": "train", "lr": 0.1}\n{"mode": "val"}\n')
    assert not inspect_folder(tmp_path).findings
    for split in ("train", "val"):
        (tmp_path / f"labels/{split}.json").rename(tmp_path / f"labels/{split[0]}.json")
    for k in range(150):
        (tmp_path / f"{k:03}.json").write_text('{"shapes": []}')
    assert "(found: labels/t.json, labels/v.json); say" in told_of(tmp_path)


@pytest.mark.parametrize("empty", [1, 2])
def test_as_many_masks_may_be_empty_as_the_pipeline_accepts(empty: int, tmp_path: Path) -> None:
    def hurt(k: int, place: Place) -> None:
        if k < empty:
            DEFECTS["empty mask"].do(place)
        elif k == empty:  # a crowd is no object
            rle(place, [WIDTH * HEIGHT])
            place.annotation.update(iscrowd=1, bbox=[0, 0, WIDTH, HEIGHT], area=0)

    write_split(tmp_path, "train", 101, hurt)
    write_split(tmp_path, "val", 2, no_harm)
    survey = inspect_folder(tmp_path)
    kinds = {finding.kind for finding in survey.faults}
    assert kinds == ({"files with too many masks without a pixel"} if empty > 1 else set())
    dataset = Dataset.model_validate(yaml.safe_load(to_yaml(survey, clone=Path("elsewhere"))))
    paths = data_paths("mine", dataset, UserData())
    if empty == 1:
        assert describe_dataset("mine", dataset, paths)["train"]["objects"] == 100
        return
    with pytest.raises(UserError, match="2 of 100 objects have no mask that can be used"):
        describe_dataset("mine", dataset, paths)


def test_images_that_are_nowhere(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_split(tmp_path, split, 2, no_harm)
    shutil.rmtree(tmp_path / "train")
    assert "train.json: none of its images, such as '1.png', is below" in told_of(tmp_path)


def test_links_that_go_in_a_circle(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_split(tmp_path / "real", split, 2, no_harm)
    (tmp_path / "real/train/again").symlink_to(tmp_path / "real")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/linked").symlink_to(tmp_path / "real")
    assert not inspect_folder(tmp_path / "data").findings


# --- Cityscapes' layout ----------------------------------------------------------------------


@pytest.fixture
def streets(tmp_path: Path) -> Path:
    generate_cityscapes(
        tmp_path / "streets",
        GeneratedSettings(train_images=4, val_images=2, width_px=96, height_px=48, classes=8),
    )
    return tmp_path / "streets"


def test_streets(streets: Path) -> None:
    survey = inspect_folder(streets.parent)
    assert isinstance(find_layout(streets), CityscapesFolder)
    assert (survey.root, survey.layout) == (streets, "cityscapes")
    assert not survey.faults
    assert {"boundary_ap", "cityscapes_ap", "coco_ap"} <= set(survey.metrics)
    assert "keypoint_ap" not in survey.metrics
    assert [c.name for c in survey.categories][:3] == ["person", "rider", "car"]
    assert survey.counts["train"].images == 4


def test_streets_with_defects(streets: Path) -> None:
    labels = sorted((streets / "gtFine/train").glob("*/*_instanceIds.png"))
    photographs = sorted((streets / "leftImg8bit/train").glob("*/*.png"))
    labels[0].unlink()
    photographs[1].unlink()
    labels[2].write_bytes(labels[2].read_bytes()[:50])
    Image.fromarray(np.full((48, 96), 40_000, np.uint16)).save(labels[3])
    told = {f.kind: f.text for f in inspect_folder(streets).faults if "val" not in f.text}
    assert labels[0].name in told["photographs without a label image"]
    assert photographs[1].name in told["label images without a photograph"]
    unread = [
        f.text for f in inspect_folder(streets).faults if f.kind.startswith("label images that")
    ]
    assert str(labels[2]) in unread[0]
    assert "bring other classes in COCO's format" in unread[1]
    cities = {path.parent for path in (streets / "gtFine/train").glob("*/*.png")}
    for city in cities:
        city.rename(city.with_name(f"labels of {city.name}"))
    told = {f.kind: f.text for f in inspect_folder(streets).faults if "val" not in f.text}
    assert "lies in another city than" in told["label images in another city"]
    shutil.rmtree(streets / "gtFine/val")
    shutil.rmtree(streets / "leftImg8bit/val")
    assert "splits are called train and val" in str(inspect_folder(streets).faults)


# --- proposals -------------------------------------------------------------------------------


def shapes(images: int, width: float, height: float, side: float, area: float) -> Shapes:
    one = np.ones(images)
    return Shapes(width * one, height * one, side * one, area * one, np.arange(images))


@pytest.mark.parametrize(
    ("name", "sizes", "variation"),
    [("coco", (118_287, 640, 480), 0), ("cityscapes", (2975, 2048, 1024), 6000)],
)
def test_the_papers_data_get_the_papers_recipes(
    name: str, sizes: tuple[int, float, float], variation: int
) -> None:
    proposal = propose(shapes(*sizes, side=200, area=20_000))
    paper = load_paper("pointrend").protocol[name]["instances"]
    assert proposal.recipe.input == paper.input
    assert proposal.recipe.optimizer.images_per_batch == paper.optimizer.images_per_batch
    assert proposal.recipe.optimizer.base_lr == paper.optimizer.base_lr
    ours, theirs = proposal.recipe.schedules["1x"], paper.schedules["1x"]
    assert ours.total_iters == theirs.total_iters
    assert abs(ours.lr_drop_iters[0] - theirs.lr_drop_iters[0]) <= variation
    assert proposal.output_resolution == 224


@given(
    st.integers(1, 400_000),
    st.integers(8, 9000),
    st.floats(0.1, 8),
    st.floats(1, 3000),
    st.floats(1, 1e6),
)
@settings(max_examples=60, deadline=None)
def test_proposals_keep_their_rules(
    images: int, short: int, aspect: float, side: float, area: float
) -> None:
    few = min(images, 50)  # their number matters for the schedule alone
    sizes = shapes(few, short, max(1, round(short * aspect)), side, area)
    if images > few:
        sizes = dataclasses.replace(
            sizes,
            widths_px=np.full(images, sizes.widths_px[0]),
            heights_px=np.full(images, sizes.heights_px[0]),
        )
    proposal = propose(sizes)
    recipe, schedule = proposal.recipe, proposal.recipe.schedules["1x"]
    test, edges = recipe.input.test_short_edge_px, recipe.input.train_short_edges_px
    assert 64 <= test <= 1024
    assert edges[-1] == test
    assert all(edge % 32 == 0 for edge in edges)
    assert 5 / 3 * test - 1 <= recipe.input.max_long_edge_px <= 2 * test
    assert test <= max(64, 5 / 3 * sizes.short_edges_px[0] + 1)
    seen = schedule.total_iters * recipe.optimizer.images_per_batch
    assert schedule.total_iters >= 3000
    assert seen >= 12.1 * images
    assert seen <= max(192_000, 12.2 * images) + 16
    assert recipe.optimizer.base_lr == 0.00125 * recipe.optimizer.images_per_batch
    enough = [r for r in (28, 56, 112, 224) if r >= side]
    assert proposal.output_resolution == (enough or [224])[0]


def test_large_objects_alone_decide_the_resolution() -> None:
    mixed = Shapes(
        np.full(3, 640.0),
        np.full(3, 480.0),
        sides_px=np.array([20.0, 20.0, 20.0, 100.0, 110.0, 130.0]),
        areas_px=np.array([300.0, 300.0, 300.0, 9300.0, 9300.0, 9300.0]),
        image_of=np.array([0, 1, 2, 0, 1, 2]),
    )
    assert propose(mixed).output_resolution == 112
    small = dataclasses.replace(mixed, areas_px=np.full(6, 300.0))
    assert propose(small).output_resolution == 112  # half of all are up to 60


def test_objects_at_the_networks_input() -> None:
    sizes = Shapes(
        np.array([100.0, 400.0]),
        np.array([50.0, 100.0]),
        sides_px=np.array([10.0, 10.0]),
        areas_px=np.array([60.0, 60.0]),
        image_of=np.array([1, 0]),
    )
    # 400x100 may only become 200x50, 100x50 becomes 200x100.
    assert sizes.input_sides_px(100, 200).tolist() == [5.0, 20.0]


def test_a_terminal_gets_no_codes_from_names(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_split(tmp_path, split, 2, no_harm)
    survey: Survey = inspect_folder(tmp_path)
    train = dataclasses.replace(
        survey.splits["train"], categories=(Category(2, "\x1b[2J\nbolt"), Category(5, "Mutter ü"))
    )
    text = to_text(dataclasses.replace(survey, splits=survey.splits | {"train": train}))
    assert "\x1b" not in text
    assert r"\x1b[2J\nbolt" in text
    assert "Mutter ü" in text


def test_a_split_in_fractions_of_the_image_is_refused_as_a_whole(tmp_path: Path) -> None:
    """As YOLO's outlines are, put into COCO's format without a change."""

    def in_fractions(k: int, place: Place) -> None:
        polygon = [0.4, 0.3, 0.8, 0.3, 0.8, 0.8]
        place.annotation.update(bbox=[0.4, 0.3, 0.4, 0.5], segmentation=[polygon])

    write_split(tmp_path, "train", 3, in_fractions)
    write_split(tmp_path, "val", 3, no_harm)
    (told,) = [f.text for f in inspect_folder(tmp_path).faults]
    assert "train.json: 3 of 3 objects; are coordinates fractions of the image?" in told


def test_images_of_both_splits(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_split(tmp_path, split, 2, no_harm)
    path = tmp_path / "labels/val.json"
    document = json.loads(path.read_text())
    document["images"][1]["file_name"] = "../train/2.png"
    path.write_text(json.dumps(document))
    told = [f.text for f in inspect_folder(tmp_path).findings if f.kind == "images of both splits"]
    assert len(told) == 1
    assert "train/2.png is trained and validated on" in told[0]
