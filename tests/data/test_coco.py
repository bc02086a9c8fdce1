import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as mask_utils
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools.coco import COCO

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.coco import CocoDataset, read_coco
from pointrend_repro.data.coco_checks import MAX_PIXELS, category_problem, image_problem
from pointrend_repro.data.rle_checks import compressed_runs
from pointrend_repro.data.segmentations import segmentation_mask

Document = dict[str, Any]
Builder = Callable[..., Path]


def read_train(root: Path) -> CocoDataset:
    return read_coco(root / "train2017", root / "annotations/instances_train2017.json")


def test_what_pillow_does_not_open_is_refused() -> None:
    assert 2 * (Image.MAX_IMAGE_PIXELS or 0) == MAX_PIXELS


def test_reads_what_was_written(coco_builder: Builder) -> None:
    root = coco_builder(train_images=3, size=(60, 40))
    dataset = read_train(root)
    assert [c.id for c in dataset.categories] == [3, 7, 20]
    assert [c.name for c in dataset.categories] == ["rectangle", "triangle", "diamond"]
    assert [image.id for image in dataset.images] == [1, 2, 3]
    image = dataset.images[1]
    assert (image.width, image.height) == (60, 40)
    assert image.path == root / "train2017" / "000000000002.jpg"
    assert image.path.is_file()
    assert [a.label for a in image.annotations] == [0, 1, 2]
    rectangle = image.annotations[0]
    assert rectangle.box == (2.0, 2.0, 18.0, 20.0)
    assert not rectangle.is_crowd
    mask = segmentation_mask(rectangle.segmentation, image.height, image.width)
    assert mask.shape == (40, 60)
    assert mask[2:20, 2:18].all()
    assert mask.sum() == 16 * 18


def test_images_are_sorted_and_may_be_empty(coco_builder: Builder) -> None:
    def mutate(document: Document) -> None:
        document["images"].reverse()
        empty = document["images"][0]["id"]
        document["annotations"] = [a for a in document["annotations"] if a["image_id"] != empty]

    dataset = read_train(coco_builder(train_images=3, mutate=mutate))
    assert [image.id for image in dataset.images] == [1, 2, 3]
    assert [len(image.annotations) for image in dataset.images] == [3, 3, 0]


def test_iscrowd_may_be_left_out(coco_builder: Builder) -> None:
    def mutate(document: Document) -> None:
        del document["annotations"][0]["iscrowd"]
        document["annotations"][1]["iscrowd"] = 1

    first, second, _ = read_train(coco_builder(mutate=mutate)).images[0].annotations
    assert (first.is_crowd, second.is_crowd) == (False, True)


def test_the_ground_truth_of_3d_futures_challenge(tmp_path: Path) -> None:
    """The shape in the README of the organisers' segmentation/inst_segm_evaluation."""
    Image.new("RGB", (40, 30)).save(tmp_path / "0001.jpg")
    names = ["Children Cabinet", "Nightstand"]
    content = {
        "categories": [
            {"id": k, "category_name": "Cabinet/Shelf/Desk", "fine-grained category name": name}
            for k, name in enumerate(names, 1)
        ],
        "images": [{"id": 1, "width": 40, "height": 30, "file_name": "0001"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 2, "area": 20.0, "bbox": [10, 0, 1, 20],
             "segmentation": {"size": [30, 40], "counts": [300, 20, 880]},
             "model_id": "a", "texture_id": None, "pose": None, "fov": None,
             "style": None, "theme": None, "material": None},
        ],
    }  # fmt: skip
    file = tmp_path / "train_set.json"
    file.write_text(json.dumps(content))
    dataset = read_coco(tmp_path, file)
    assert [c.name for c in dataset.categories] == names
    (found,) = dataset.images[0].annotations
    assert (found.label, found.is_crowd) == (1, False)


def test_the_name_of_a_category_has_one_of_three_keys(
    coco_builder: Builder, tmp_path: Path
) -> None:
    def mutate(document: Document) -> None:
        first, second, third = document["categories"]
        first["category_name"] = second["category_name"] = "shape"
        second["fine-grained category name"] = second.pop("name")
        third["category_name"] = third.pop("name")

    original, renamed = coco_builder(), coco_builder(root=tmp_path / "renamed", mutate=mutate)
    assert read_train(renamed).categories == read_train(original).categories


def test_images_in_subfolders(coco_builder: Builder) -> None:
    def mutate(document: Document) -> None:
        for image in document["images"]:
            split = "train2017" if image["id"] < 1000 else "val2017"
            image["file_name"] = f"{split}/{image['file_name']}"

    root = coco_builder(mutate=mutate)
    dataset = read_coco(root, root / "annotations/instances_train2017.json")
    assert all(image.path.is_file() for image in dataset.images)


def set_in(name: str, key: str, value: Any) -> Callable[[Document], None]:
    def mutate(document: Document) -> None:
        document[name][0][key] = value

    return mutate


def drop_from(name: str, key: str) -> Callable[[Document], None]:
    return lambda document: document[name][0].pop(key)


def repeat(name: str) -> Callable[[Document], None]:
    return lambda document: document[name].append(document[name][0])


def uncompressed(counts: list[int], size: tuple[int, int] = (48, 64)) -> Document:
    return {"size": list(size), "counts": counts}


BAD = {
    "no list of images": (lambda d: d.pop("images"), "has no list 'images'"),
    "annotations no list": (lambda d: d.update(annotations={}), "has no list 'annotations'"),
    "no categories": (lambda d: d["categories"].clear(), "lists no categories"),
    "category without name": (drop_from("categories", "name"), "category 7: name is None"),
    "category whose finer name is a number": (
        lambda d: d.update(categories=[{"id": 7, "fine-grained category name": 3}]),
        "category 7: fine-grained category name is 3; write a text",
    ),
    "repeated category": (repeat("categories"), "category 7: its id appears twice"),
    "image without file name": (drop_from("images", "file_name"), "image 1: file_name is None"),
    "image id is text": (set_in("images", "id", "1"), "image 1: id is '1'; write a whole number"),
    "width is a fraction": (set_in("images", "width", 64.5), "image 1: width is 64.5"),
    "height is true": (set_in("images", "height", True), "image 1: height is True"),
    "more pixels than an image may have": (
        set_in("images", "width", 10**9),
        "image 1: is 1000000000 x 48 pixels, and images of more than 178956970 are not read",
    ),
    "zero width": (set_in("images", "width", 0), "image 1: is 0 x 48 pixels"),
    "negative height": (set_in("images", "height", -48), "image 1: is 64 x -48 pixels"),
    "repeated image": (repeat("images"), "image 1: its id appears twice"),
    "image not on disk": (
        set_in("images", "file_name", "gone.jpg"),
        "image 1: .*gone.jpg is not on disk; fetch it",
    ),
    "folder not on disk": (set_in("images", "file_name", "x/gone.jpg"), "x: no such folder"),
    "zero byte in a folder's name": (
        set_in("images", "file_name", "a\0b/c.jpg"),
        r"image 1: file_name is 'a\\x00b/c\.jpg'; no file has a zero byte in its name",
    ),
    "zero byte in a name": (set_in("images", "file_name", "c\0.jpg"), "has a zero byte in its"),
    "folder's name too long": (
        set_in("images", "file_name", f"{'a' * 300}/c.jpg"),
        r"image 1: the folder of its file_name cannot be read \(File name too long\); correct",
    ),
    "annotation no object": (
        lambda d: d["annotations"].insert(0, 5),
        r"annotation number 0 \(from 0\) is not a JSON object",
    ),
    "annotation without id": (
        drop_from("annotations", "id"),
        r"annotation number 0 \(from 0\) has no 'id'",
    ),
    "annotation without box": (
        drop_from("annotations", "bbox"),
        r"annotation 1000 \(image 1\) has no 'bbox'; add it",
    ),
    "annotation without mask": (drop_from("annotations", "segmentation"), "no 'segmentation'"),
    "category id is text": (
        set_in("annotations", "category_id", "3"),
        r"annotation 1000 \(image 1\) has category_id '3'",
    ),
    "unknown image": (
        set_in("annotations", "image_id", 99),
        r"annotation 1000 \(image 99\) names image 99, which is not listed",
    ),
    "unknown category": (
        set_in("annotations", "category_id", 4),
        r"annotation 1000 \(image 1\) names category 4, which is not listed",
    ),
    "iscrowd is a word": (set_in("annotations", "iscrowd", "no"), "iscrowd 'no'; write 0 or 1"),
    "repeated annotation": (repeat("annotations"), "annotation 1000 .*has the id of another"),
    "three-number box": (set_in("annotations", "bbox", [1, 2, 3]), "write four finite numbers"),
    "box of text": (set_in("annotations", "bbox", list("abcd")), "write four finite numbers"),
    "NaN box": (set_in("annotations", "bbox", [float("nan"), 0, 1, 1]), "four finite numbers"),
    "infinite box": (set_in("annotations", "bbox", [0, 0, float("inf"), 1]), "four finite"),
    "box of no height": (
        set_in("annotations", "bbox", [1, 2, 3, 0]),
        r"annotation 1000 \(image 1\) has bbox \[1, 2, 3, 0\] of zero area; .* or remove it",
    ),
    "box of negative width": (set_in("annotations", "bbox", [1, 2, -3, 1]), "of zero area"),
    "no polygons": (set_in("annotations", "segmentation", []), "so no mask; draw its outline"),
    "mask is text": (set_in("annotations", "segmentation", "x"), "neither polygons nor RLE"),
    "flat polygon": (set_in("annotations", "segmentation", [1, 1, 5, 1, 5, 5]), "not a list of"),
    "two points": (
        set_in("annotations", "segmentation", [[1, 1, 5, 5]]),
        r"annotation 1000 \(image 1\) has a polygon of fewer than 3 points, \[1, 1, 5, 5\]",
    ),
    "empty polygon": (set_in("annotations", "segmentation", [[]]), "fewer than 3 points"),
    "second polygon short": (
        set_in("annotations", "segmentation", [[1, 1, 5, 1, 5, 5], [1, 1, 2, 2]]),
        "fewer than 3 points",
    ),
    "odd polygon": (
        set_in("annotations", "segmentation", [[1, 1, 5, 1, 5, 5, 1]]),
        "odd number of coordinates, 7",
    ),
    "NaN polygon": (
        set_in("annotations", "segmentation", [[1, 1, 5, 1, 5, float("nan")]]),
        "not a list of finite numbers",
    ),
    "infinities that cancel": (
        set_in("annotations", "segmentation", [[float("inf"), 1, 5, 1, 5, -float("inf")]]),
        "not a list of finite numbers",
    ),
    "RLE of another size": (
        set_in("annotations", "segmentation", uncompressed([48 * 64], (64, 48))),
        r"RLE of size \[64, 48\], not the image's \[48, 64\]",
    ),
    "RLE without counts": (
        set_in("annotations", "segmentation", {"size": [48, 64]}),
        "counts are not whole numbers",
    ),
    "negative RLE": (
        set_in("annotations", "segmentation", uncompressed([-1, 48 * 64 + 1])),
        "counts are not whole numbers",
    ),
    "short RLE": (
        set_in("annotations", "segmentation", uncompressed([5, 5])),
        "RLE of 10 pixels where the image has 3072",
    ),
    "short compressed RLE": (
        set_in("annotations", "segmentation", {"size": [48, 64], "counts": "55"}),
        "RLE of 10 pixels where the image has 3072",
    ),
    "broken compressed RLE": (
        set_in("annotations", "segmentation", {"size": [48, 64], "counts": "5 5"}),
        "broken RLE",
    ),
    "compressed RLE cut in a number": (
        set_in("annotations", "segmentation", {"size": [48, 64], "counts": "P"}),
        "broken RLE .*ends inside a number",
    ),
}


@pytest.mark.parametrize(("mutate", "message"), BAD.values(), ids=BAD.keys())
def test_bad_file_is_refused_in_one_line(
    coco_builder: Builder, mutate: Callable[[Document], None], message: str
) -> None:
    root = coco_builder(val_images=1, mutate=mutate)
    with pytest.raises(UserError, match=message) as caught:
        read_train(root)
    assert str(root) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_first_bad_annotation_is_told_and_all_are_counted(coco_builder: Builder) -> None:
    def mutate(document: Document) -> None:
        document["annotations"][2]["bbox"] = [0, 0, 0, 5]
        document["annotations"][5]["segmentation"] = []
        document["annotations"][7]["image_id"] = 12345

    with pytest.raises(UserError, match=r"annotation 1002 .*in all: 3\)"):
        read_train(coco_builder(val_images=3, mutate=mutate))


def test_truncated_json_is_refused(coco_builder: Builder) -> None:
    root = coco_builder()
    path = root / "annotations/instances_train2017.json"
    path.write_text(path.read_text()[:500])
    with pytest.raises(UserError, match=r"instances_train2017\.json: not valid JSON"):
        read_train(root)


def test_missing_files_are_refused(coco_builder: Builder) -> None:
    root = coco_builder()
    with pytest.raises(UserError, match=r"none\.json: no such file"):
        read_coco(root / "train2017", root / "none.json")
    with pytest.raises(UserError, match="train2018: no such folder of images"):
        read_coco(root / "train2018", root / "annotations/instances_train2017.json")


@pytest.mark.parametrize(
    ("image_id", "box"),
    [(200365, [296.65, 388.33, 1.03, 0.0]), (550395, [9.98, 188.56, 5.54, 0.0])],
)
def test_known_faults_of_coco_train2017_are_dropped_aloud(
    coco_builder: Builder, caplog: pytest.LogCaptureFixture, image_id: int, box: list[float]
) -> None:
    def mutate(document: Document) -> None:
        document["images"][0]["id"] = image_id
        for annotation in document["annotations"][:3]:
            annotation["image_id"] = image_id
        document["annotations"][1].update(bbox=box, id=918)

    with caplog.at_level(logging.WARNING):
        dataset = read_train(coco_builder(mutate=mutate))
    assert [a.label for a in dataset.images[-1].annotations] == [0, 2]
    assert "dropped annotation 918" in caplog.text


def test_another_empty_box_in_the_known_image_is_refused(coco_builder: Builder) -> None:
    def mutate(document: Document) -> None:
        document["images"][0]["id"] = 200365
        for annotation in document["annotations"][:3]:
            annotation["image_id"] = 200365
        document["annotations"][1]["bbox"] = [296.65, 388.33, 0.0, 1.03]

    with pytest.raises(UserError, match="zero area"):
        read_train(coco_builder(mutate=mutate))


MASKS = arrays(bool, st.tuples(st.integers(1, 20), st.integers(1, 20)))


@given(MASKS)
def test_rle_masks_decode_to_the_mask(mask: np.ndarray) -> None:
    height, width = mask.shape
    compressed = mask_utils.encode(np.asfortranarray(mask.astype(np.uint8)))
    compressed["counts"] = compressed["counts"].decode()
    plain = {"size": [height, width], "counts": column_runs(mask)}
    for rle in (compressed, plain):
        decoded = segmentation_mask(rle, height, width)
        assert decoded.dtype == bool
        np.testing.assert_array_equal(decoded, mask)


@given(MASKS)
def test_compressed_runs_are_those_of_the_mask(mask: np.ndarray) -> None:
    counts = mask_utils.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    assert compressed_runs(counts) == column_runs(mask)


def column_runs(mask: np.ndarray) -> list[int]:
    """Run lengths down the columns, starting with a run (maybe empty) of background."""
    runs, current = [0], False
    for value in mask.T.ravel():
        if value != current:
            runs.append(0)
            current = value
        runs[-1] += 1
    return runs


def test_polygons_of_one_object_are_united() -> None:
    left, right = [0, 0, 2, 0, 2, 4, 0, 4], [4, 0, 6, 0, 6, 4, 4, 4]
    mask = segmentation_mask([left, right], 4, 6)
    np.testing.assert_array_equal(mask, [[1, 1, 0, 0, 1, 1]] * 4)


def test_rle_of_another_size_is_not_decoded() -> None:
    with pytest.raises(ValueError, match="size"):
        segmentation_mask({"size": [2, 3], "counts": [6]}, 3, 2)


def test_real_coco_is_read_as_pycocotools_reads_it(shared_data: Path) -> None:
    root = shared_data / "coco_tiny"
    for split, images, objects, crowds in (("train", 42, 291, 1), ("val", 22, 256, 5)):
        path = root / f"annotations/instances_{split}2017.json"
        dataset = read_coco(root / f"{split}2017", path)
        reference = COCO(str(path))
        assert len(dataset.categories) == 80
        assert [image.id for image in dataset.images] == sorted(reference.imgs)
        assert len(dataset.images) == images
        assert sum(len(image.annotations) for image in dataset.images) == objects
        assert sum(a.is_crowd for image in dataset.images for a in image.annotations) == crowds
        for image in dataset.images:
            for ours, theirs in zip(image.annotations, reference.imgToAnns[image.id], strict=True):
                assert dataset.categories[ours.label].id == theirs["category_id"]
                x0, y0, x1, y1 = ours.box
                np.testing.assert_allclose([x0, y0, x1 - x0, y1 - y0], theirs["bbox"])
                mask = segmentation_mask(ours.segmentation, image.height, image.width)
                np.testing.assert_array_equal(mask, reference.annToMask(theirs))


@pytest.mark.parametrize("sign", [1, -1])
def test_ids_are_those_that_scorers_tell_apart(sign: int) -> None:
    """NumPy, in which COCO's scorer sorts them, makes 64 bits with and without a sign floats."""
    largest = sign * (2**63 - 1)
    assert np.unique([1, largest]).dtype == np.int64
    for problem in (category_problem, image_problem):
        entry = {"id": largest, "name": "a", "file_name": "a.jpg", "width": 8, "height": 8}
        assert problem(entry, set()) is None
        told = problem(entry | {"id": largest + sign}, set())
        assert told is not None
        assert told.endswith("write a smaller one, or let `pointrend-repro data mend` number them")
