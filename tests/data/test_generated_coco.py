import contextlib
import dataclasses
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lvis import LVIS
from PIL import Image
from pycocotools import mask as mask_utils
from pycocotools.coco import COCO
from pydantic import ValidationError
from shapely.geometry import Polygon

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.generated import coco_layout
from pointrend_repro.data.generated.classes import (
    COCO_CLASSES,
    coco_classes,
    lvis_classes,
    lvis_id,
)
from pointrend_repro.data.generated.coco_layout import generate_coco, image_id
from pointrend_repro.data.generated.outlines import polygon_parts
from pointrend_repro.data.generated.polygons import (
    coarse_polygons,
    exact_polygons,
    uncompressed_rle,
)
from pointrend_repro.data.generated.rendering import paint
from pointrend_repro.data.generated.scenes import place, sample_scene
from pointrend_repro.settings.generated import GeneratedSettings
from pointrend_repro.settings.identity import identity as identity_of

SETTINGS = GeneratedSettings(train_images=8, val_images=16, width_px=128, height_px=96, classes=10)


@dataclasses.dataclass
class Data:
    root: Path
    coco: COCO
    lvis: LVIS

    def lvis_annotations(self, image: int) -> list[dict]:
        return self.lvis.img_ann_map[image]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Data:
    root = tmp_path_factory.mktemp("coco") / "data"
    generate_coco(root, SETTINGS)
    return Data(
        root=root,
        coco=load_coco(root / "annotations/instances_val2017.json"),
        lvis=LVIS(str(root / "annotations/lvis_v0.5_val.json")),
    )


def load_coco(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def all_files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def pixels_inside(geometry, *, width_px: int, height_px: int) -> np.ndarray:
    """Rasterise by testing each pixel's centre: slow and independent of the code under test."""
    y, x = np.mgrid[:height_px, :width_px] + 0.5
    return shapely.contains_xy(geometry, x, y)


def iou(first: np.ndarray, second: np.ndarray) -> float:
    return (first & second).sum() / (first | second).sum()


def decoded(polygons: list[list[float]], height_px: int, width_px: int) -> np.ndarray:
    encoded = mask_utils.merge(mask_utils.frPyObjects(polygons, height_px, width_px))
    return mask_utils.decode(encoded).astype(bool)


# --- the same settings give the same bytes ---


def test_same_settings_give_the_same_bytes(data, tmp_path):
    np.random.seed(123)
    generate_coco(tmp_path / "again", SETTINGS)
    assert all_files(tmp_path / "again") == all_files(data.root)


def test_another_seed_gives_another_scene():
    other = SETTINGS.model_copy(update={"seed": 1})
    assert sample_scene(SETTINGS, "val", 0)[0].polygons != sample_scene(other, "val", 0)[0].polygons


def test_train_and_val_differ():
    train, val = (sample_scene(SETTINGS, split, 0)[0].polygons for split in ("train", "val"))
    assert train != val


def test_an_image_does_not_depend_on_the_number_of_images(data, tmp_path):
    fewer = SETTINGS.model_copy(update={"train_images": 0, "val_images": 3})
    generate_coco(tmp_path / "fewer", fewer)
    annotations = json.loads((tmp_path / "fewer/annotations/instances_val2017.json").read_text())
    for index in range(3):
        identity = image_id("val", index)
        name = f"val2017/{identity:012d}.jpg"
        assert (tmp_path / "fewer" / name).read_bytes() == (data.root / name).read_bytes()
        here = [a for a in annotations["annotations"] if a["image_id"] == identity]
        assert here == data.coco.imgToAnns[identity]


# --- the official layouts ---


def test_files_are_where_the_official_data_sets_have_them(data):
    names = set(all_files(data.root))
    expected = {"instances_train2017.json", "instances_val2017.json", "lvis_v0.5_val.json"}
    assert {f"annotations/{name}" for name in expected} <= names
    assert sum(name.startswith("train2017/") for name in names) == 8
    for image in data.coco.dataset["images"]:
        assert image["file_name"] == f"{image['id']:012d}.jpg"
        assert Image.open(data.root / "val2017" / image["file_name"]).size == (128, 96)


def test_no_image_id_is_in_both_splits(data):
    train = load_coco(data.root / "annotations/instances_train2017.json")
    assert not set(train.imgs) & set(data.coco.imgs)


def test_categories_have_their_coco_ids_and_names(data):
    names = {category["id"]: category["name"] for category in data.coco.dataset["categories"]}
    assert names[60] == "donut"
    assert names[2] == "bicycle"
    assert len(names) == SETTINGS.classes


def test_lvis_has_other_ids_and_one_more_category(data):
    synsets = {category["synset"]: category["id"] for category in data.lvis.cats.values()}
    ours = {shape.synset for shape in coco_classes(SETTINGS)}
    assert set(synsets) - ours == {"starfish.n.01"}
    assert all(synsets[shape.synset] != shape.coco_id for shape in COCO_CLASSES)
    starfish = synsets["starfish.n.01"]
    assert any(a["category_id"] == starfish for a in data.lvis.anns.values())


def test_lvis_counts_its_images_and_instances(data):
    for category in data.lvis.cats.values():
        found = [
            a["image_id"] for a in data.lvis.anns.values() if a["category_id"] == category["id"]
        ]
        assert category["instance_count"] == len(found)
        assert category["image_count"] == len(set(found))
        assert category["frequency"] in {"r", "c", "f"}


# --- annotations agree with themselves ---


def test_boxes_and_areas_fit_their_masks(data):
    checked = 0
    for annotation in data.coco.anns.values():
        check_annotation(annotation, data.coco.annToMask(annotation).astype(bool))
        checked += 1
    for annotation in data.lvis.anns.values():
        check_annotation(annotation, data.lvis.ann_to_mask(annotation).astype(bool))
        checked += 1
    assert checked > 50


def check_annotation(annotation: dict, mask: np.ndarray) -> None:
    assert mask.any()
    assert annotation["area"] == mask.sum()
    x, y, width, height = annotation["bbox"]
    assert width > 0
    assert height > 0
    assert x >= 0
    assert y >= 0
    assert x + width <= 128 + 0.011
    assert y + height <= 96 + 0.011
    rows, columns = np.nonzero(mask)
    # A pixel is in the mask by its centre: the box around the outline contains all centres.
    assert x - 0.2 <= columns.min() + 0.5
    assert columns.max() + 0.5 <= x + width + 0.2
    assert y - 0.2 <= rows.min() + 0.5
    assert rows.max() + 0.5 <= y + height + 0.2
    if isinstance(annotation["segmentation"], list):
        for polygon in annotation["segmentation"]:
            assert len(polygon) >= 6
            assert len(polygon) % 2 == 0


def test_ids_are_unique(data):
    for dataset in (data.coco.dataset, data.lvis.dataset):
        for key in ("images", "annotations", "categories"):
            ids = [item["id"] for item in dataset[key]]
            assert len(ids) == len(set(ids))


# --- LVIS is exact, COCO is coarse ---


def test_lvis_masks_are_the_pixels_of_the_exact_outlines(data):
    checked = 0
    for index in range(SETTINGS.val_images):
        scene = {
            tuple(map(tuple, item.polygons)): item for item in sample_scene(SETTINGS, "val", index)
        }
        for annotation in data.lvis_annotations(image_id("val", index)):
            item = scene[tuple(map(tuple, annotation["segmentation"]))]
            assert annotation["category_id"] == lvis_id(item.shape)
            expected = pixels_inside(item.visible, width_px=128, height_px=96)
            found = data.lvis.ann_to_mask(annotation).astype(bool)
            # pycocotools rounds points to a fifth of a pixel: a few pixels may fall otherwise.
            assert (expected != found).sum() <= 0.15 * item.visible.length + 1
            checked += 1
    assert checked > 30


@pytest.mark.parametrize("size", [(128, 96), (320, 240)])
def test_coco_outlines_are_coarse(size):
    width_px, height_px = size
    options = GeneratedSettings(
        train_images=0, val_images=1, width_px=width_px, height_px=height_px
    )
    ious = []
    for index in range(16):
        scene = sample_scene(options, "val", index)
        rng = np.random.default_rng(0)
        coarse = [a for a in coco_layout._annotations(options, scene, rng) if not a["iscrowd"]]
        items = [item for item in scene if item.shape.coco_id and not item.in_crowd]
        for item, annotation in zip(items, coarse, strict=True):
            exact = pixels_inside(item.visible, width_px=width_px, height_px=height_px)
            drawn = decoded(annotation["segmentation"], height_px, width_px)
            fine = decoded(item.polygons, height_px, width_px)
            ious.append((iou(drawn, exact), iou(fine, exact)))
    coarse_iou, exact_iou = np.mean(ious, axis=0)
    assert 0.75 < coarse_iou < 0.95
    assert exact_iou > 0.97
    assert np.mean([coarse < exact for coarse, exact in ious]) > 0.9


def test_the_pixels_of_an_object_are_what_lvis_annotates():
    """Each object in turn is drawn white among black ones: its visible pixels are white."""
    options = GeneratedSettings(train_images=0, val_images=1, width_px=320, height_px=240)
    ious = []
    for index in (0, 1, 2, 4):
        scene = sample_scene(options, "val", index)
        for item in scene:
            white = drawn_pixels(scene, item, width_px=320, height_px=240)
            rng = np.random.default_rng(0)
            coarse = coarse_polygons(item.visible, width_px=320, height_px=240, rng=rng)
            exact_iou = iou(white, decoded(item.polygons, 240, 320))
            ious.append((exact_iou, iou(white, decoded(coarse, 240, 320))))
    exact, rough = np.transpose(ious)
    assert len(exact) >= 12
    assert exact.min() > 0.75
    assert exact.mean() > 0.93
    assert rough.mean() < exact.mean() - 0.03
    assert (exact > rough).mean() > 0.9


def drawn_pixels(scene, target, *, width_px: int, height_px: int) -> np.ndarray:
    image = np.zeros((3, height_px, width_px), dtype=np.float32)
    for item in reversed(scene):
        gray = 240 if item is target else 15
        paint(
            image,
            item.outline,
            color=(gray, gray, gray),
            pattern="plain",
            light=(0.0, 1.0),
            rng=np.random.default_rng(0),
            relief=0.0,
        )
    return image.mean(axis=0) > 115


def test_exact_holes_are_open_and_coarse_holes_filled():
    donut = next(shape for shape in COCO_CLASSES if shape.name == "donut")
    rng = np.random.default_rng(3)
    outline = place(donut.outline, rng, size_px=60, center_px=(48, 48), turn_deg=180)
    hole = Polygon(outline.interiors[0])
    hole_pixels = pixels_inside(hole.buffer(-1), width_px=96, height_px=96)
    assert hole_pixels.sum() > 50
    assert not decoded(exact_polygons(outline), 96, 96)[hole_pixels].any()
    coarse = coarse_polygons(outline, width_px=96, height_px=96, rng=rng)
    assert decoded(coarse, 96, 96)[hole_pixels].all()


@pytest.mark.parametrize("shape", COCO_CLASSES, ids=lambda shape: shape.name)
def test_every_class_survives_the_seams_of_its_holes(shape):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        outline = place(shape.outline, rng, size_px=150, center_px=(80, 80), turn_deg=180)
        assert outline.is_valid
        assert outline.geom_type == "Polygon"
        exact = pixels_inside(outline, width_px=160, height_px=160)
        found = decoded(exact_polygons(outline), 160, 160)
        assert (exact != found).sum() <= 0.1 * outline.length


def test_hidden_parts_are_not_annotated():
    for index in range(8):
        scene = sample_scene(SETTINGS, "val", index)
        for front, item in enumerate(scene):
            for nearer in scene[:front]:
                assert item.visible.intersection(nearer.outline).area < 0.01


def test_an_object_cut_in_two_has_two_polygons():
    parts = [
        (len(polygon_parts(item.visible)), len(item.polygons))
        for index in range(SETTINGS.val_images)
        for item in sample_scene(SETTINGS, "val", index)
    ]
    assert all(geometry == written for geometry, written in parts)
    assert max(written for _, written in parts) >= 2


def test_small_and_large_objects_occur():
    options = SETTINGS.model_copy(update={"width_px": 640, "height_px": 480})
    sizes = []
    for index in range(24):
        for item in sample_scene(options, "train", index):
            left, top, right, bottom = item.outline.bounds
            sizes.append(max(right - left, bottom - top))
    assert options.size_range_px == (16.0, 432.0)
    assert 15.9 <= min(sizes) < 30
    assert 250 < max(sizes) <= 432.1


def test_the_smallest_object_can_be_chosen_and_old_folders_stay_what_they_are(tmp_path):
    options = SETTINGS.model_copy(update={"width_px": 640, "height_px": 480, "smallest_px": 64})
    sizes = []
    for index in range(16):
        for item in sample_scene(options, "train", index):
            left, top, right, bottom = item.outline.bounds
            sizes.append(max(right - left, bottom - top))
    assert 63.9 <= min(item for item in sizes) < 110
    assert "smallest_px" not in identity_of(SETTINGS)
    assert identity_of(options)["smallest_px"] == 64
    with pytest.raises(ValidationError, match=r"smallest_px 40: objects reach 86\.4 px"):
        GeneratedSettings(**(SETTINGS.model_dump() | {"smallest_px": 40}))


def test_thin_classes_can_be_left_out_and_old_folders_stay_what_they_are():
    sturdy = SETTINGS.model_copy(update={"classes": 6, "thin_classes": False})
    names = [shape.name for shape in coco_classes(sturdy)]
    assert names == ["donut", "kite", "banana", "orange", "umbrella", "bird"]
    assert [shape.synset for shape in lvis_classes(sturdy)][-1] == "starfish.n.01"
    drawn = {item.shape.name for i in range(40) for item in sample_scene(sturdy, "train", i)}
    assert drawn == {*names, "starfish"}
    assert "thin_classes" not in identity_of(SETTINGS)
    with pytest.raises(ValidationError, match="classes 10: without thin ones, 7 at most"):
        GeneratedSettings(**(SETTINGS.model_dump() | {"thin_classes": False}))
    assert sum(not shape.is_thin for shape in COCO_CLASSES) == 7


# --- crowds, empty images, federated categories ---


def test_each_split_has_an_empty_and_a_crowd_image(data):
    for split in ("train", "val"):
        coco = load_coco(data.root / f"annotations/instances_{split}2017.json")
        assert any(not coco.imgToAnns[identity] for identity in coco.imgs)
        assert any(annotation["iscrowd"] for annotation in coco.anns.values())
        assert all(coco.imgToAnns[image_id(split, k)] for k in range(8) if k != 3)


def test_crowds_are_run_lengths_of_many_objects(data):
    crowds = [annotation for annotation in data.coco.anns.values() if annotation["iscrowd"]]
    assert crowds
    for crowd in crowds:
        assert set(crowd["segmentation"]) == {"counts", "size"}
        assert sum(crowd["segmentation"]["counts"]) == 96 * 128
        mask = data.coco.annToMask(crowd).astype(bool)
        members = [
            item
            for item in sample_scene(SETTINGS, "val", crowd["image_id"] - image_id("val", 0))
            if item.in_crowd
        ]
        assert len(members) >= 8
        union = np.any([decoded(item.polygons, 96, 128) for item in members], axis=0)
        assert iou(mask, union) > 0.9


@pytest.mark.parametrize("first", [0, 1])
def test_uncompressed_runs_are_what_pycocotools_reads(first):
    mask = (np.random.default_rng(0).random((7, 5)) > 0.5).astype(np.uint8)
    mask[0, 0] = first
    rle = mask_utils.frPyObjects(uncompressed_rle(mask), 7, 5)
    np.testing.assert_array_equal(mask_utils.decode(rle), mask)


def test_federated_categories_are_consistent(data):
    some_negative, some_not_exhaustive, some_unchecked = False, False, False
    for identity, image in data.lvis.imgs.items():
        positive = {a["category_id"] for a in data.lvis_annotations(identity)}
        negative = set(image["neg_category_ids"])
        not_exhaustive = set(image["not_exhaustive_category_ids"])
        scene = sample_scene(SETTINGS, "val", identity - image_id("val", 0))
        assert positive == {lvis_id(item.shape) for item in scene}
        assert not negative & positive
        assert not_exhaustive <= positive
        for category in positive:
            annotated = sum(a["category_id"] == category for a in data.lvis_annotations(identity))
            shown = sum(lvis_id(item.shape) == category for item in scene)
            # Exactly the categories with objects left out are marked.
            assert (annotated < shown) == (category in not_exhaustive)
        some_negative |= bool(negative)
        some_not_exhaustive |= bool(not_exhaustive)
        some_unchecked |= len(positive | negative) < len(data.lvis.cats)
    assert some_negative
    assert some_not_exhaustive
    assert some_unchecked


# --- folders ---


def test_a_folder_with_the_same_settings_is_kept(data):
    before = {p: p.stat().st_mtime_ns for p in data.root.rglob("*")}
    generate_coco(data.root, SETTINGS)
    assert {p: p.stat().st_mtime_ns for p in data.root.rglob("*")} == before


def test_a_folder_with_other_settings_is_refused(data):
    with pytest.raises(UserError, match=str(data.root)):
        generate_coco(data.root, SETTINGS.model_copy(update={"seed": 5}))


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(UserError, match=str(tmp_path)):
        generate_coco(tmp_path, SETTINGS)
    assert all_files(tmp_path) == {"mine.txt": b"keep"}


def test_a_folder_that_lost_files_is_refused(tmp_path):
    small = SETTINGS.model_copy(update={"train_images": 0, "val_images": 1})
    generate_coco(tmp_path / "data", small)
    (tmp_path / "data/annotations/lvis_v0.5_val.json").unlink()
    with pytest.raises(UserError, match="gone"):
        generate_coco(tmp_path / "data", small)


def test_images_are_on_the_disk_before_their_folder_has_its_name(tmp_path, monkeypatch):
    synced = []

    def sync(number):
        assert not (tmp_path / "data").exists()
        synced.append(os.fstat(number).st_ino)

    monkeypatch.setattr(os, "fsync", sync)
    generate_coco(tmp_path / "data", SETTINGS)
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert {path.stat().st_ino for path in files} <= set(synced)


def test_empty_folders_count_as_absent(tmp_path):
    (tmp_path / "data/annotations").mkdir(parents=True)
    generate_coco(
        tmp_path / "data", SETTINGS.model_copy(update={"train_images": 0, "val_images": 1})
    )
    assert (tmp_path / "data/generated.json").is_file()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_generation_leaves_nothing(tmp_path, monkeypatch, error):
    def interrupt(*args, **kwargs):
        raise error

    monkeypatch.setattr(coco_layout, "render_scene", interrupt)
    with pytest.raises(error):
        generate_coco(tmp_path / "data", SETTINGS)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_in_one_line(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(coco_layout, "render_scene", fail)
    with pytest.raises(UserError, match="No space left"):
        generate_coco(tmp_path / "data", SETTINGS)
    assert list(tmp_path.iterdir()) == []


# --- settings ---


@pytest.mark.parametrize(
    "change", [{"val_images": 0}, {"classes": 4}, {"classes": 11}, {"width_px": 0}, {"colour": 1}]
)
def test_impossible_settings_are_refused(change):
    with pytest.raises(ValidationError, match=next(iter(change))):
        GeneratedSettings(**(SETTINGS.model_dump() | change))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    width_px=st.integers(32, 200),
    height_px=st.integers(32, 200),
    classes=st.integers(5, 10),
    seed=st.integers(0, 1000),
)
def test_any_size_works(tmp_path_factory, width_px, height_px, classes, seed):
    root = tmp_path_factory.mktemp("any") / "data"
    options = GeneratedSettings(
        train_images=0,
        val_images=6,
        width_px=width_px,
        height_px=height_px,
        classes=classes,
        seed=seed,
    )
    generate_coco(root, options)
    coco = load_coco(root / "annotations/instances_val2017.json")
    for annotation in coco.anns.values():
        x, y, width, height = annotation["bbox"]
        assert -0.01 <= x <= x + width <= width_px + 0.02
        assert -0.01 <= y <= y + height <= height_px + 0.02
        assert coco.annToMask(annotation).sum() == annotation["area"] > 0
