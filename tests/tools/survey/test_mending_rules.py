"""Each mending by itself: on random documents, on odd names, and on things that are no COCO."""

import copy
import random
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from pointrend_repro.base.errors import UserError
from pointrend_repro.tools.survey.mending import ids
from pointrend_repro.tools.survey.mending.boxes import boxes_and_areas
from pointrend_repro.tools.survey.mending.categories import without_copies, without_empty_heads
from pointrend_repro.tools.survey.mending.depths import to_8_bits
from pointrend_repro.tools.survey.mending.entries import Document, Mended
from pointrend_repro.tools.survey.mending.file_names import PictureIndex, find_pictures, path_parts
from pointrend_repro.tools.survey.mending.fractions import in_pixels
from pointrend_repro.tools.survey.mending.halves import split_in_two
from pointrend_repro.tools.survey.mending.numbers import as_numbers, number_in, whole_number_in
from pointrend_repro.tools.survey.mending.outlines import as_polygons
from pointrend_repro.tools.survey.mending.pictures import Header
from pointrend_repro.tools.survey.mending.sizes import upright_sizes
from pointrend_repro.tools.survey.mending.turning import turned_point

WIDTH, HEIGHT = 64, 48


def square(x: float, y: float, side: float) -> list[float]:
    return [x, y, x + side, y, x + side, y + side, x, y + side]


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Some images with squares on them, all as it should be."""
    count = draw(st.integers(1, 5))
    images = [
        {"id": 3 * k + 1, "file_name": f"{k}.png", "width": WIDTH, "height": HEIGHT}
        for k in range(count)
    ]
    annotations = []
    for k in range(draw(st.integers(1, 8))):
        x, y, side = (draw(st.floats(1, 20)) for _ in range(3))
        annotations.append(
            {
                "id": k + 1,
                "image_id": draw(st.sampled_from(images))["id"],
                "category_id": draw(st.sampled_from([2, 5])),
                "bbox": [x, y, x + side - x, y + side - y],
                "area": side**2,
                "segmentation": [square(x, y, side)],
                "iscrowd": 0,
            }
        )
    categories = [{"id": 2, "name": "nut"}, {"id": 5, "name": "bolt"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def all_of_it(document: Document, headers: dict[int, Header] | None = None) -> Mended:
    mended = as_numbers(document).then(ids.image_ids).then(lambda d: ids.category_ids([d])[0])
    return (
        mended.then(as_polygons)
        .then(lambda d: upright_sizes(d, headers or {}))
        .then(in_pixels)
        .then(boxes_and_areas)
        .then(ids.annotation_ids)
        .then(lambda d: without_empty_heads([d])[0])
    )


@given(documents())
def test_a_good_document_is_the_same_object_afterwards(document: Document) -> None:
    mended = all_of_it(document)
    assert mended.document is document
    assert (dict(mended.done), mended.left) == ({}, ())


HARMS: list[Callable[[dict[str, Any]], object]] = [
    lambda e: e.pop("bbox"),
    lambda e: e.pop("area"),
    lambda e: e.pop("id"),
    lambda e: e.update(segmentation=e["segmentation"][0]),
    lambda e: e.update(segmentation=[[e["segmentation"][0][k : k + 2] for k in (0, 2, 4, 6)]]),
    lambda e: e.update(category_id=f"{e['category_id']}"),
    lambda e: e.update(iscrowd=None),
    lambda e: e["segmentation"].append([1.5, 2.5]),
    lambda e: e.update(bbox=[str(v) for v in e["bbox"]]),
]


@given(documents(), st.data())
def test_only_entries_with_a_harm_are_touched_and_they_come_back(
    document: Document, data: st.DataObject
) -> None:
    harmed = copy.deepcopy(document)
    for entry in harmed["annotations"]:
        if (harm := data.draw(st.sampled_from([None, *HARMS]))) is not None:
            harm(entry)
    before = copy.deepcopy(harmed)
    mended = all_of_it(harmed)
    assert harmed == before  # nothing is changed in place
    pairs = zip(
        document["annotations"], before["annotations"], mended.document["annotations"], strict=True
    )
    for k, (good, bad, found) in enumerate(pairs):
        if bad == good:
            assert found is harmed["annotations"][k]
        assert found["segmentation"] == good["segmentation"]
        assert found["bbox"] == pytest.approx(good["bbox"])
        assert found["area"] == pytest.approx(good["area"], abs=2 * good["area"] ** 0.5 + 2)
        assert (found["category_id"], found["iscrowd"]) == (good["category_id"], 0)
    found_ids = [entry["id"] for entry in mended.document["annotations"]]
    assert len(set(found_ids)) == len(found_ids)
    assert not all_of_it(mended.document).done


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(documents(), st.data())
@settings(max_examples=200, deadline=None)
def test_whatever_stands_there_is_mended_or_left(document: Document, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 4))):
        key = data.draw(st.sampled_from(["images", "annotations", "categories"]))
        place = data.draw(st.integers(0, len(document[key]) - 1))
        entry = document[key][place]
        if isinstance(entry, dict) and data.draw(st.integers(0, 5)):
            entry[data.draw(st.sampled_from([*entry, "supercategory"]))] = data.draw(JUNK)
        else:
            document[key][place] = data.draw(JUNK)
    header = Header((HEIGHT, WIDTH), Image.Transpose.ROTATE_270, deep=False)
    headers = {k: header for k, e in enumerate(document["images"]) if isinstance(e, dict)}
    mended = all_of_it(document, headers)
    index = PictureIndex([PurePath("a/0.png")])
    where = Path("/nowhere")
    find_pictures(mended.document, root=where, images_dir=where, index=index)
    halves = split_or_none(mended.document, {}, 0.5, 0)
    if halves:
        for name in ("images", "annotations"):
            parts = sum(len(half[name]) for half in halves.values())
            assert parts == len(mended.document[name])


# --- ids -------------------------------------------------------------------------------------


def test_categories_have_the_same_numbers_in_all_files() -> None:
    def document(*names: Any) -> Document:
        return {
            "images": [],
            "categories": [{"id": name, "name": str(name)} for name in names],
            "annotations": [{"category_id": name} for name in names],
        }

    first, second = ids.category_ids([document("b", "7", 3), document("a", 3.0, "b")])
    assert [c["id"] for c in first.document["categories"]] == [8, 7, 3]
    assert [c["id"] for c in second.document["categories"]] == [9, 3, 8]
    assert [a["category_id"] for a in second.document["annotations"]] == [9, 3, 8]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", 12),
        (" 007 ", 7),
        ("-3", -3),
        ("1.50", 1.5),
        ("1e3", 1000.0),
        ("", ""),
        ("nan", "nan"),
        ("inf", "inf"),
        ("12px", "12px"),
        ("²", "²"),
        (None, None),
        (True, True),
    ],
)
def test_numbers_in_texts(text: object, number: object) -> None:
    found = number_in(text)
    assert (found, type(found)) == (number, type(number))


@pytest.mark.parametrize(
    ("rle", "mended"),
    [
        ({"size": ["48", "64"], "counts": "12"}, {"size": [48, 64], "counts": "12"}),
        ({"size": [48, " 64.0"], "counts": ["7", 2]}, {"size": [48, 64], "counts": [7, 2]}),
        ({"size": [48, 64], "counts": "12"}, None),
        ({"size": ["a", "b"], "counts": [1.5]}, None),
        ({"size": "4864"}, None),
    ],
)
def test_numbers_of_an_rle(rle: dict[str, Any], mended: dict[str, Any] | None) -> None:
    document = {"images": [], "annotations": [{"segmentation": rle}]}
    found = as_numbers(document)
    if mended is None:
        assert found.document is document
        assert not found.done
    else:
        assert found.document["annotations"] == [{"segmentation": mended}]
        assert found.done.total() == 1


def test_whole_numbers() -> None:
    assert [whole_number_in(v) for v in ("3.0", 3.0, "3", 3, 3.5, "x", True, None)] == [
        *(3, 3, 3, 3, 3.5, "x", True, None)
    ]


# --- boxes -----------------------------------------------------------------------------------


def with_boxes(*pairs: tuple[list[float], list[float]]) -> Document:
    """A document of objects with (bbox, [x, y, width, height] of the mask)."""
    annotations = [
        {
            "id": k,
            "image_id": 1,
            "bbox": list(box),
            "area": w * h,
            "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
        }
        for k, (box, (x, y, w, h)) in enumerate(pairs)
    ]
    image = {"id": 1, "file_name": "a.png", "width": 640, "height": 480}
    return {"images": [image], "annotations": annotations}


def corners_of(box: list[float]) -> list[float]:
    x, y, width, height = box
    return [x, y, x + width, y + height]


def wider(box: list[float], right: float, down: float) -> list[float]:
    """The box of an object of which something to the right and below is hidden."""
    return [box[0], box[1], box[2] + right, box[3] + down]


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("count", [10, 40])
def test_right_boxes_that_look_like_corners_by_chance_stay(seed: int, count: int) -> None:
    """Partly hidden objects near the corner of their image, in whole pixels: the worst of cases."""
    random_number = random.Random(seed).randint
    masks = [
        [float(random_number(*r)) for r in ((0, 10), (0, 10), (3, 50), (3, 40))]
        for _ in range(count - 1)
    ]
    pairs = [(wider(mask, random_number(0, 10), random_number(0, 8)), mask) for mask in masks]
    by_chance = [4.0, 3.0, 20.0, 30.0]
    document = with_boxes((corners_of(by_chance), by_chance), *pairs)
    mended = boxes_and_areas(document)
    assert mended.document is document
    assert "boxes would fit their mask as [x0, y0, x1, y1]; that few" in mended.left[0]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("loose", [0, 3, 12])
def test_corners_are_found_however_loosely_they_were_drawn(seed: int, loose: int) -> None:
    random_number = random.Random(seed).randint
    masks = [
        [float(random_number(*r)) for r in ((20, 300), (20, 200), (30, 300), (30, 200))]
        for _ in range(8)
    ]
    right = [wider(m, random_number(0, loose), random_number(0, loose)) for m in masks]
    right[0] = masks[0]  # one that its mask shows
    mended = boxes_and_areas(
        with_boxes(*zip(map(corners_of, right), masks, strict=True)),
    )
    assert [entry["bbox"] for entry in mended.document["annotations"]] == right


@pytest.mark.parametrize(("corners", "mended"), [(1, False), (4, False), (5, True), (10, True)])
def test_of_two_files_put_together_the_corners_are_rewritten(corners: int, mended: bool) -> None:
    masks = [[20.0 + 10 * k, 30.0 + 5 * k, 60.0, 40.0] for k in range(20)]
    boxes = [corners_of(mask) if k < corners else mask for k, mask in enumerate(masks)]
    found = boxes_and_areas(with_boxes(*zip(boxes, masks, strict=True)))
    expected = masks if mended else boxes
    assert [entry["bbox"] for entry in found.document["annotations"]] == expected
    assert bool(found.left) == (not mended)


# --- file names ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (r"..\..\label-studio\media\upload\4\a b.png", "a b.png"),
        ("https://host.example/x/a%20b.png?X-Amz-Expires=1&d=2", "a b.png"),
        ("/data/local-files/?d=Ml%5Ctrain%5Ca%20b.png", "a b.png"),
        ("gs://bucket/deep/er/a b.png", "a b.png"),
        (r"C:\Users\Ann\a b.png", "a b.png"),
        ("./x/../a b.png", "a b.png"),
        ("what?.png", "what?.png"),
        ("100%25.png", "100%25.png"),
        ("c.png", None),
        ("", None),
        ("///", None),
        ("a b.png\x00", None),
    ],
)
def test_names_of_other_computers(name: str, found: str | None, tmp_path: Path) -> None:
    paths = [PurePath("pictures") / n for n in ("a b.png", "what?.png", "100%25.png")]
    document = {"images": [{"id": 1, "file_name": name}], "annotations": [], "categories": []}
    mended, files = find_pictures(
        document, root=tmp_path, images_dir=tmp_path, index=PictureIndex(paths)
    )
    expected = {} if found is None else {0: tmp_path / "pictures" / found}
    assert files == expected
    if found is not None:
        assert mended.document["images"][0]["file_name"] == f"pictures/{found}"


@given(st.text(max_size=40))
def test_any_name_can_be_read(name: str) -> None:
    for parts in path_parts(name):
        assert parts
        assert all(parts)


def test_the_longest_common_end_decides() -> None:
    index = PictureIndex(map(PurePath, ("x/train/1.png", "x/val/1.png", "val/1.png")))
    assert index.matches(("train", "1.png")) == [PurePath("x/train/1.png")]
    assert len(index.matches(("val", "1.png"))) == 2
    assert index.matches(("x", "val", "1.png")) == [PurePath("x/val/1.png")]


def found_as(tmp_path: Path, names: list[str], *there: str) -> tuple[list[str], Mended]:
    """What becomes of file names beside images of the folder `images`, and of others."""
    for name in there:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    mended, _ = find_pictures(
        {"images": [{"id": k, "file_name": name} for k, name in enumerate(names)]},
        root=tmp_path,
        images_dir=tmp_path / "images",
        index=PictureIndex(map(PurePath, there)),
    )
    return [image["file_name"] for image in mended.document["images"]], mended


@pytest.mark.parametrize(
    ("name", "there", "found"),
    [
        ("train_0.jpg", ["images/TRAIN_0.JPG"], "TRAIN_0.JPG"),
        ("STRASSE.jpg", ["images/straße.jpg"], "straße.jpg"),
        (r"C:\x\A.JPG", ["images/a.jpg"], "a.jpg"),
        ("a.JPG", ["images/a.jpg", "images/A.png"], "a.jpg"),  # letters before endings
        ("a.jpg", ["images/A.jpg", "images/a.JPG"], "a.jpg"),  # either
        ("a.jpeg", ["images/A.png"], "A.png"),
        ("a", ["images/a.jpg"], "a.jpg"),
        ("a.7", ["images/a.png"], "a.7"),  # no ending of an image
        ("a.7", ["images/a.7.png"], "a.7.png"),
        ("a.jpeg", ["images/a.png", "images/a.bmp"], "a.jpeg"),
    ],
)
def test_other_letters_and_endings(name: str, there: list[str], found: str, tmp_path: Path) -> None:
    (after,), mended = found_as(tmp_path, [name], *there)
    assert after == found
    spelt = "file names in other letters, or with another ending, than on disk"
    assert dict(mended.done) == ({} if found == name else {spelt: 1})
    assert len(mended.left) == (found == name and name != "a.7")


def test_a_mask_is_not_taken_for_its_missing_image(tmp_path: Path) -> None:
    names = ["a.jpg", "b.jpg", "c.jpg"]
    there = ["images/a.jpg", "masks/a.png", "masks/b.png", "images/c.png", "masks/c.png"]
    assert found_as(tmp_path, names, *there)[0] == ["a.jpg", "b.jpg", "c.png"]


def test_two_names_of_one_image_in_other_letters(tmp_path: Path) -> None:
    after, mended = found_as(tmp_path, ["a.jpg", "A.JPG"], "images/a.jpg")
    assert after == ["a.jpg", "A.JPG"]
    assert "which is another image's, too" in mended.left[0]


# --- pictures --------------------------------------------------------------------------------


@given(st.integers(8, 16), st.data())
def test_8_bits_keep_order_and_ends(bits: int, data: st.DataObject) -> None:
    top = 2**bits - 1
    values = data.draw(st.lists(st.integers(0, top), min_size=1, max_size=20))
    found = to_8_bits(np.array([sorted([0, top, *values])]), bits)
    assert (found[0, 0], found[0, -1]) == (0, 255)
    assert (np.diff(found.astype(int)) >= 0).all()
    if bits == 8:
        assert found[0].tolist() == sorted([0, top, *values])


@given(
    st.sampled_from(list(Image.Transpose)),
    st.integers(0, 11),
    st.integers(0, 6),
)
def test_points_turn_as_pixels_do(turn: Image.Transpose, column: int, row: int) -> None:
    stored = np.zeros((7, 12), np.uint8)
    stored[row, column] = 1
    upright = np.asarray(Image.fromarray(stored).transpose(turn))
    header = Header((12, 7), turn, deep=False)
    assert header.upright == upright.shape[::-1]
    x, y = turned_point(column + 0.5, row + 0.5, header)
    assert upright[int(y), int(x)] == 1


# --- two halves ------------------------------------------------------------------------------


def split_or_none(document: Document, pictures: dict[int, str], share: float, seed: int) -> Any:
    try:
        return split_in_two(document, pictures, val_share=share, seed=seed)
    except UserError:
        return None


@example([0, 1], 1.0, 0, random.Random(0))
@given(
    st.lists(st.integers(0, 12), min_size=2, max_size=30),
    st.floats(0, 1),
    st.integers(0, 99),
    st.randoms(use_true_random=False),
)
def test_halves(contents: list[int], share: float, seed: int, order: random.Random) -> None:
    images = [{"id": k, "file_name": f"{k}.png"} for k in range(len(contents))]
    annotations = [{"id": k, "image_id": k // 2} for k in range(2 * len(contents))]
    document = {"images": images, "annotations": annotations, "info": {"a": 1}}
    pictures = {k: str(content) for k, content in enumerate(contents)}
    halves = split_or_none(document, pictures, share, seed)
    if len(set(contents)) < 2:
        assert halves is None
        return
    listed = {name: [image["id"] for image in half["images"]] for name, half in halves.items()}
    assert sorted(listed["train"] + listed["val"]) == list(range(len(contents)))
    sides = [{contents[k] for k in listed[name]} for name in ("train", "val")]
    assert all(sides)
    assert sides[0].isdisjoint(sides[1])
    smallest = min(contents.count(content) for content in contents)
    assert len(listed["val"]) <= max(smallest, share * len(contents))
    for name, half in halves.items():
        assert half["info"] == {"a": 1}
        assert {a["image_id"] for a in half["annotations"]} == set(listed[name])
    # In another order of the images, the same pictures are on the same side.
    shuffled = order.sample(range(len(contents)), len(contents))
    other = split_or_none(
        document | {"images": [images[k] for k in shuffled]},
        {place: str(contents[k]) for place, k in enumerate(shuffled)},
        share,
        seed,
    )
    assert {image["id"] for image in other["val"]["images"]} == set(listed["val"])


def test_versions_of_one_photograph_are_on_one_side() -> None:
    """Roboflow's export holds several augmented versions of each: kunalgkjoshi/
    dog_instance_segmentation, 7695e78, has 213 images of 71 photographs, all of them in `train`.
    """
    versions = [
        (photo, f"dog_{photo}_jpg.rf.{photo + k:032x}.jpg") for photo in range(9) for k in (0, 99)
    ]
    images = [{"id": k, "file_name": name} for k, (_, name) in enumerate(versions)]
    document = {"images": images, "annotations": []}
    for seed in range(5):
        halves = split_in_two(document, {}, val_share=0.3, seed=seed)
        train, val = ({versions[i["id"]][0] for i in h["images"]} for h in halves.values())
        assert train.isdisjoint(val)
        assert len(val) == 2


# --- categories ------------------------------------------------------------------------------


def with_categories(*entries: dict[str, Any]) -> Document:
    used = [{"category_id": 1}]
    return {"images": [], "annotations": used, "categories": list(entries)}


def test_a_project_may_be_called_like_its_class() -> None:
    """As Roboflow wrote it in RaviRawal13/BT_Detectron2_MaskRCNN, 97c3fa5."""
    head = {"id": 0, "name": "Tumor", "supercategory": "none"}
    tumor = {"id": 1, "name": "Tumor", "supercategory": "Tumor"}
    (mended,) = without_empty_heads([with_categories(head, tumor)])
    assert mended.document["categories"] == [tumor]
    # labelme2coco (summeryao's, e97ebd5) calls each class's super-category like the class.
    alone = [{"id": k, "name": name, "supercategory": name} for k, name in enumerate("abc")]
    (mended,) = without_empty_heads([with_categories(*alone)])
    assert mended.document["categories"] == alone


def test_a_category_that_is_listed_for_each_object() -> None:
    """As VIA 2 wrote them in aimbsg/EVA4_S12, 9a7c57a: 50 times; others of the id stay refused."""
    dog = {"id": 1, "name": "dog", "supercategory": "class"}
    cat = {"id": 1, "name": "cat", "supercategory": "class"}
    mended = without_copies(with_categories(dog, dict(dog), dict(dog)))
    assert (mended.document["categories"], mended.done.total()) == ([dog], 2)
    good = with_categories(dog, cat, dog | {"id": 2})
    assert without_copies(good).document is good
