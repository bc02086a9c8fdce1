import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from cityscapesscripts.evaluation.instance import Instance
from cityscapesscripts.evaluation.instances2dict import instances2dict
from cityscapesscripts.helpers.annotation import Annotation
from cityscapesscripts.helpers.csHelpers import getCsFileInfo
from cityscapesscripts.helpers.labels import name2label
from cityscapesscripts.preparation.json2instanceImg import createInstanceImage
from cityscapesscripts.preparation.json2labelImg import createLabelImage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from shapely.geometry import Point

from pointrend_repro.base.errors import UserError
from pointrend_repro.config.reading import load_dataset
from pointrend_repro.data.generated import cityscapes_layout
from pointrend_repro.data.generated.cityscapes_layout import (
    generate_cityscapes,
    image_name,
    label_polygon,
)
from pointrend_repro.data.generated.street_scenes import STREET_CLASSES, sample_street
from pointrend_repro.settings.generated import GeneratedSettings

SETTINGS = GeneratedSettings(train_images=2, val_images=12, width_px=192, height_px=96, classes=8)
INSTANCE_LABELS = {kind.label for kind in STREET_CLASSES}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cityscapes") / "data"
    generate_cityscapes(folder, SETTINGS)
    return folder


def all_files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def label_file(root: Path, index: int, ending: str) -> Path:
    city, stem = image_name("val", index)
    return root / "gtFine/val" / city / f"{stem}_gtFine_{ending}"


def read_objects(root: Path, index: int) -> list[dict]:
    return json.loads(label_file(root, index, "polygons.json").read_text())["objects"]


def test_same_settings_give_the_same_bytes(root, tmp_path):
    generate_cityscapes(tmp_path / "again", SETTINGS)
    assert all_files(tmp_path / "again") == all_files(root)


def test_an_image_does_not_depend_on_the_number_of_images(root, tmp_path):
    fewer = SETTINGS.model_copy(update={"train_images": 1, "val_images": 2})
    generate_cityscapes(tmp_path / "fewer", fewer)
    kept = {name: data for name, data in all_files(tmp_path / "fewer").items() if "/" in name}
    assert len(kept) == 3 * 5
    assert kept.items() <= all_files(root).items()


def test_every_image_has_all_its_files(root):
    names = all_files(root)
    images = [name for name in names if name.startswith("leftImg8bit/")]
    assert len(images) == 14
    for name in images:
        info = getCsFileInfo(name)
        assert Path(name).parts[2] == info.city
        assert Image.open(root / name).size == (192, 96)
        stem = name.replace("leftImg8bit/", "gtFine/", 1).removesuffix("_leftImg8bit.png")
        endings = ["polygons.json", "labelIds.png", "labelTrainIds.png", "instanceIds.png"]
        assert all(f"{stem}_gtFine_{ending}" in names for ending in endings)


def test_label_images_are_what_the_official_tools_draw(root):
    for index in range(SETTINGS.val_images):
        annotation = Annotation()
        annotation.fromJsonFile(str(label_file(root, index, "polygons.json")))
        expected = {
            "labelIds": createLabelImage(annotation, "ids"),
            "labelTrainIds": createLabelImage(annotation, "trainIds"),
            "instanceIds": createInstanceImage(annotation, "ids"),
        }
        for ending, image in expected.items():
            found = np.asarray(Image.open(label_file(root, index, f"{ending}.png")))
            np.testing.assert_array_equal(found, np.asarray(image))


def test_instance_images_have_sixteen_bits(root):
    assert Image.open(label_file(root, 0, "instanceIds.png")).mode == "I;16"


def test_every_pixel_is_labelled(root):
    for index in range(SETTINGS.val_images):
        labels = np.asarray(Image.open(label_file(root, index, "labelIds.png")))
        assert (labels > 0).all()
        assert len(np.unique(labels)) >= 3


def test_the_official_reader_finds_every_instance(root):
    found_labels = set()
    for index in range(SETTINGS.val_images):
        path = label_file(root, index, "instanceIds.png")
        (instances,) = instances2dict(str(path)).values()
        objects = read_objects(root, index)
        for label in INSTANCE_LABELS:
            expected = sum(item["label"] == label for item in objects)
            found = [item for item in instances[label] if item["instID"] >= 1000]
            assert len(found) == expected
            assert all(item["pixelCount"] > 0 for item in found)
            found_labels |= {label} if found else set()
    assert len(found_labels) >= 6


def test_few_classes_are_the_first_ones():
    few = SETTINGS.model_copy(update={"classes": 5})
    labels = {item.label for k in range(12) for item in sample_street(few, "train", k)}
    assert labels & INSTANCE_LABELS == {kind.label for kind in STREET_CLASSES[:5]}


def test_groups_have_the_plain_id_of_their_class(root):
    groups = 0
    for index in range(SETTINGS.val_images):
        instances = np.asarray(Image.open(label_file(root, index, "instanceIds.png"))).astype(int)
        for item in read_objects(root, index):
            if item["label"].endswith("group"):
                plain_id = name2label[item["label"].removesuffix("group")].id
                assert Instance(instances, plain_id).pixelCount > 0
                groups += 1
    assert groups >= 1


def test_one_image_has_no_instances():
    objects = sample_street(SETTINGS, "val", 3)
    assert objects
    assert not {item.label for item in objects} & INSTANCE_LABELS


def test_polygons_stay_in_the_image(root):
    for index in range(SETTINGS.val_images):
        objects = read_objects(root, index)
        assert sorted(objects[0]["polygon"]) == [[0, 0], [0, 95], [191, 0], [191, 95]]
        for item in objects:
            points = np.array(item["polygon"])
            assert len(points) >= 3
            assert (points >= 0).all()
            assert (points <= (191, 95)).all()


def test_labels_are_the_pixels_of_the_exact_outlines():
    large = SETTINGS.model_copy(update={"width_px": 640, "height_px": 320})
    y, x = np.mgrid[:320, :640] + 0.5
    ious = []
    for index in (0, 1, 2):
        for item in sample_street(large, "val", index):
            annotation = Annotation()
            annotation.fromJsonText(
                json.dumps(
                    {
                        "imgWidth": 640,
                        "imgHeight": 320,
                        "objects": [
                            {"label": "car", "polygon": label_polygon(item.outline, large)}
                        ],
                    }
                )
            )
            drawn = np.asarray(createLabelImage(annotation, "ids")) > 0
            exact = shapely.contains_xy(item.outline, x, y)
            if exact.sum() > 500:
                ious.append((drawn & exact).sum() / (drawn | exact).sum())
                # Rounding to whole pixels moves the boundary by less than a pixel.
                assert (drawn != exact).sum() < 0.75 * item.outline.length
    assert np.mean(ious) > 0.93


def test_holes_are_open():
    ring = Point(40, 40).buffer(30).difference(Point(40, 40).buffer(15))
    annotation = Annotation()
    polygon = label_polygon(ring, SETTINGS)
    annotation.fromJsonText(
        json.dumps(
            {"imgWidth": 192, "imgHeight": 96, "objects": [{"label": "car", "polygon": polygon}]}
        )
    )
    image = np.asarray(createLabelImage(annotation, "ids"))
    assert image[40, 40] == 0
    assert (image[28:52, 36:44] == 0).all()
    assert image[40, 62] > 0


def test_a_folder_with_other_settings_is_refused(root):
    with pytest.raises(UserError, match=str(root)):
        generate_cityscapes(root, SETTINGS.model_copy(update={"seed": 5}))


def test_an_interrupted_generation_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(cityscapes_layout, "json2labelImg", interrupt)
    with pytest.raises(KeyboardInterrupt):
        generate_cityscapes(tmp_path / "data", SETTINGS)
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(width_px=st.integers(32, 200), height_px=st.integers(32, 200), seed=st.integers(0, 1000))
def test_any_size_works(tmp_path_factory, width_px, height_px, seed):
    folder = tmp_path_factory.mktemp("any") / "data"
    options = GeneratedSettings(
        train_images=0, val_images=6, width_px=width_px, height_px=height_px, seed=seed
    )
    generate_cityscapes(folder, options)
    paths = list(folder.rglob("*_labelIds.png"))
    assert len(paths) == 6
    for path in paths:
        labels = np.asarray(Image.open(path))
        assert labels.shape == (height_px, width_px)
        assert (labels > 0).all()


def test_streets_have_all_nineteen_classes_and_pixels_that_do_not_count(tmp_path):
    shipped = load_dataset("generated_cityscapes").generate
    generate_cityscapes(tmp_path / "data", shipped)
    for split in ("train", "val"):
        seen = set()
        for path in tmp_path.glob(f"data/gtFine/{split}/*/*_labelTrainIds.png"):
            seen |= set(np.unique(np.asarray(Image.open(path))).tolist())
        assert seen == {*range(19), 255}


def test_poles_and_riders_are_a_few_pixels_wide():
    widths = {"pole": [], "rider": []}
    for index in range(24):
        for item in sample_street(SETTINGS, "train", index):
            if item.label in widths:
                # A band of length l and width w has the area l * w and the outline 2 * (l + w).
                widths[item.label].append(2 * item.outline.area / item.outline.length)
    assert min(len(found) for found in widths.values()) >= 5
    assert np.median(widths["pole"]) < 3
    assert np.median(widths["rider"]) < 6


def test_borders_of_terrain_and_fences_are_ragged():
    """A smooth outline is hardly longer than that of its convex hull."""
    longer = {"terrain": [], "fence": []}
    for index in range(24):
        for item in sample_street(SETTINGS, "train", index):
            if item.label in longer:
                longer[item.label].append(item.outline.length / item.outline.convex_hull.length)
    for label, found in longer.items():
        assert len(found) >= 5, label
        assert np.median(found) > 1.1, label
