import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cityscapesscripts.evaluation.instances2dict import instances2dict
from cityscapesscripts.helpers.labels import labels, name2label
from PIL import Image

from pointrend_repro.base.errors import UserError
from pointrend_repro.commands import data as data_commands
from pointrend_repro.config.datasets import Dataset
from pointrend_repro.config.papers import load_paper
from pointrend_repro.config.reading import load_dataset
from pointrend_repro.data.cityscapes import (
    INSTANCE_CLASSES,
    class_of,
    image_id,
    image_size,
    label_files,
    prepare_instances,
    read_instance_ids,
)
from pointrend_repro.data.coco import CocoDataset, read_coco
from pointrend_repro.data.fingerprint import names_and_sizes, val_label_images
from pointrend_repro.data.generated.cityscapes_layout import generate_cityscapes
from pointrend_repro.data.paths import UserData, data_paths
from pointrend_repro.data.segmentations import segmentation_mask
from pointrend_repro.settings.generated import GeneratedSettings

KINDS = ("leftImg8bit", "gtFine")
SETTINGS = GeneratedSettings(
    train_images=3, val_images=14, width_px=192, height_px=96, classes=8, crowd_image_share=0.125
)


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated folder in the official layout, which no test changes."""
    root = tmp_path_factory.mktemp("cityscapes") / "data"
    generate_cityscapes(root, SETTINGS)
    return root


@pytest.fixture
def root(official: Path, tmp_path: Path) -> Path:
    """A copy of it, for tests that break something."""
    return Path(shutil.copytree(official, tmp_path / "copy"))


@pytest.fixture(scope="module")
def val(official: Path, tmp_path_factory: pytest.TempPathFactory) -> CocoDataset:
    output = tmp_path_factory.mktemp("prepared") / "instances_val.json"
    prepare_instances(official, "val", output)
    return read_coco(official / "leftImg8bit/val", output)


def prepared(root: Path, split: Any = "val") -> dict[str, Any]:
    output = root.parent / "prepared" / f"{split}.json"
    prepare_instances(root, split, output)
    return json.loads(output.read_text())


def write_scene(root: Path, ids: np.ndarray) -> None:
    """One val image with these instance ids."""
    for folder, ending in (("leftImg8bit", "leftImg8bit"), ("gtFine", "gtFine_instanceIds")):
        (root / folder / "val/town").mkdir(parents=True)
        content = ids.astype(np.uint16 if folder == "gtFine" else np.uint8)
        Image.fromarray(content).save(root / folder / f"val/town/town_000000_000000_{ending}.png")


def test_classes_are_the_eight_that_the_official_evaluator_scores() -> None:
    scored = {x.id: x.name for x in labels if x.hasInstances and not x.ignoreInEval}
    assert scored == INSTANCE_CLASSES
    assert list(INSTANCE_CLASSES) == [24, 25, 26, 27, 28, 31, 32, 33]


def test_instances_are_those_that_the_official_tool_finds(official: Path, val: CocoDataset) -> None:
    files = {image_id(name): path for name, path in label_files(official, "val").items()}
    assert len(val.images) == SETTINGS.val_images
    for image in val.images:
        (expected,) = instances2dict(str(files[image.id])).values()
        found = [
            (
                val.categories[a.label].name,
                int(segmentation_mask(a.segmentation, image.height, image.width).sum()),
                a.is_crowd,
            )
            for a in image.annotations
        ]
        assert sorted(found) == sorted(
            (name, item["pixelCount"], item["instID"] < 1000)
            for name in INSTANCE_CLASSES.values()
            for item in expected[name]
        )


def test_masks_and_boxes_are_exact(official: Path, val: CocoDataset) -> None:
    files = {image_id(name): path for name, path in label_files(official, "val").items()}
    objects = crowds = 0
    for image in val.images:
        ids = np.asarray(Image.open(files[image.id]))
        values = [v for v in np.unique(ids).tolist() if class_of(v) in INSTANCE_CLASSES]
        for value, annotation in zip(values, image.annotations, strict=True):
            mask = segmentation_mask(annotation.segmentation, image.height, image.width)
            np.testing.assert_array_equal(mask, ids == value)
            ys, xs = np.nonzero(ids == value)
            assert annotation.box == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
            assert val.categories[annotation.label].id == class_of(value)
            assert annotation.is_crowd == (value < 1000)
            objects += not annotation.is_crowd
            crowds += annotation.is_crowd
    assert objects > 40
    assert crowds >= 2


def test_what_is_no_scored_instance_is_left_out(tmp_path: Path) -> None:
    car, person, caravan = (name2label[name].id for name in ("car", "person", "caravan"))
    ids = np.zeros((6, 8), int)
    ids[0], ids[1] = name2label["road"].id, name2label["static"].id
    ids[2, :4], ids[2, 4:] = caravan, 1000 * caravan
    ids[3, :2], ids[3, 2:5], ids[3, 5:] = car, 1000 * car, 1000 * car + 999
    ids[4:, 7] = 1000 * person + 3
    write_scene(tmp_path / "data", ids)
    content = prepared(tmp_path / "data")
    found = [(a["category_id"], a["iscrowd"], a["area"], a["bbox"]) for a in content["annotations"]]
    assert found == [
        (car, 1, 2, [0, 3, 2, 1]),
        (person, 0, 2, [7, 4, 1, 2]),
        (car, 0, 3, [2, 3, 3, 1]),
        (car, 0, 3, [5, 3, 3, 1]),
    ]
    assert {c["id"]: c["name"] for c in content["categories"]} == INSTANCE_CLASSES


def test_same_folder_gives_the_same_bytes_and_stays_clean(official: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in official.rglob("*")}
    for name in ("once.json", "again.json"):
        prepare_instances(official, "train", tmp_path / name)
    assert (tmp_path / "once.json").read_bytes() == (tmp_path / "again.json").read_bytes()
    assert {path: path.stat().st_mtime_ns for path in official.rglob("*")} == before


def test_the_id_of_an_image_depends_on_its_name_alone(root: Path) -> None:
    before = {image["file_name"]: image["id"] for image in prepared(root)["images"]}
    for path in [*root.rglob("edgeheim_000002_*")]:
        path.unlink()
    after = {image["file_name"]: image["id"] for image in prepared(root)["images"]}
    assert len(after) == len(before) - 1
    assert after.items() <= before.items()
    # Predictions that somebody has kept must not change their image.
    assert image_id("frankfurt_000000_000294") == 53_379_285_841_727


def test_no_training_images_at_all_are_told(official: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gtFine_trainvaltest\.zip of Cityscapes into"):
        prepare_instances(tmp_path, "train", tmp_path / "out.json")
    shutil.copytree(official / "gtFine", tmp_path / "gtFine")
    with pytest.raises(UserError, match=r"leftImg8bit_trainvaltest\.zip of Cityscapes into"):
        prepare_instances(tmp_path, "train", tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


NAME = "edgeheim/edgeheim_000001_000019"


@pytest.mark.parametrize(
    ("gone", "told"),
    [
        (f"gtFine/val/{NAME}_gtFine_instanceIds.png", "instanceIds.png: no such file, though"),
        (f"leftImg8bit/val/{NAME}_leftImg8bit.png", r"instanceIds.png: has no \*_leftImg8bit.png"),
    ],
)
def test_missing_file_is_named(root: Path, gone: str, told: str) -> None:
    (root / gone).unlink()
    with pytest.raises(UserError, match=f"edgeheim_000001_000019_.*{told}") as caught:
        prepared(root)
    assert "\n" not in str(caught.value)


def test_image_without_any_ground_truth_is_named(root: Path) -> None:
    for path in (root / "gtFine/val").glob("edgeheim/edgeheim_000001_*"):
        path.unlink()
    with pytest.raises(UserError, match=r"edgeheim_000001_.* has no .*\(images without: 1\)"):
        prepared(root)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def rgb(path: Path) -> None:
    Image.new("RGB", (192, 96)).save(path)


def smaller(path: Path) -> None:
    Image.open(path).crop((0, 0, 100, 96)).save(path)


def large_ids(path: Path) -> None:
    Image.fromarray(np.full((96, 192), 50_000, np.uint16)).save(path)


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (cut, "instanceIds.png: cannot be read"),
        (rgb, "instanceIds.png: is not an image of ids"),
        (large_ids, "instanceIds.png: has the id 50000, but instanceIds go from 0 to 33999"),
        (smaller, "leftImg8bit.png: is 192x96 pixels, but .*instanceIds.png is 100x96"),
    ],
)
def test_faulty_label_image_is_named(root: Path, harm: Any, told: str) -> None:
    harm(root / f"gtFine/val/{NAME}_gtFine_instanceIds.png")
    with pytest.raises(UserError, match=told):
        prepared(root)


def test_broken_image_is_named(root: Path) -> None:
    (root / f"leftImg8bit/val/{NAME}_leftImg8bit.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"_leftImg8bit.png: cannot be read"):
        prepared(root)


def city_files(root: Path, *places: str) -> None:
    """Write one image of a city for each "leftImg8bit/aa/0000", or label image for "gtFine/...".

    The pixels of all label images are one object: a person in the city zz, else a car.
    """
    for place in places:
        kind, city, name = place.split("/")
        is_photograph = kind == "leftImg8bit"
        ending = "leftImg8bit" if is_photograph else "gtFine_instanceIds"
        path = root / kind / "val" / city / f"{name}_{ending}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        value = 24000 if city == "zz" else 26000
        ids = np.zeros((8, 8), np.uint8) if is_photograph else np.full((8, 8), value, np.uint16)
        Image.fromarray(ids).save(path)


def test_one_name_in_two_cities_is_refused(tmp_path: Path) -> None:
    """Or one of the two would be left out without a word, or get the other's labels."""
    root = tmp_path / "streets"
    city_files(root, *(f"{kind}/{city}/0000" for kind in KINDS for city in ("aa", "zz")))
    with pytest.raises(UserError) as caught:
        prepared(root)
    told = str(caught.value)
    assert told.startswith(f"{root}/gtFine/val/zz/0000_gtFine_instanceIds.png: has the name of ")
    assert "val/aa/0000_gtFine_instanceIds.png; begin the names" in told
    for path in root.glob("*/val/*/0000_*.png"):  # as the official names are
        path.rename(path.with_name(f"{path.parent.name}_{path.name}"))
    found = prepared(root)
    assert [image["file_name"] for image in found["images"]] == [
        "aa/aa_0000_leftImg8bit.png",
        "zz/zz_0000_leftImg8bit.png",
    ]
    assert [entry["category_id"] for entry in found["annotations"]] == [26, 24]


def test_a_photograph_with_the_labels_of_another_city_is_refused(tmp_path: Path) -> None:
    city_files(tmp_path / "streets", "leftImg8bit/aa/0000", "gtFine/zz/0000")
    with pytest.raises(UserError, match=r"aa/0000_left\S+: lies in another city than \S+/zz/0000"):
        prepared(tmp_path / "streets")


def test_label_images_for_other_programs_are_no_other_data(official: Path, tmp_path: Path) -> None:
    """detectron2 has its users make labelTrainIds, in the folder of the labels that are read."""
    made_here = names_and_sizes((official / "gtFine/val").glob("*/*Ids.png"))
    assert val_label_images(official) == made_here  # as finished runs have recorded it
    downloaded = tmp_path / "downloaded"
    shutil.copytree(
        official / "gtFine", downloaded / "gtFine", ignore=shutil.ignore_patterns("*TrainIds.png")
    )
    unpacked = val_label_images(downloaded)
    for path in (official / "gtFine/val").glob("*/*TrainIds.png"):
        shutil.copy(path, downloaded / path.relative_to(official))
    assert val_label_images(downloaded) == unpacked
    found = {unpacked}
    for kind in ("instanceIds", "labelIds"):
        (downloaded / f"gtFine/val/{NAME}_gtFine_{kind}.png").write_bytes(b"edited")
        found.add(val_label_images(downloaded))
    assert len(found) == 3


def test_size_and_ids_of_a_label_image(official: Path) -> None:
    path = next(iter(label_files(official, "val").values()))
    assert image_size(path) == (96, 192) == read_instance_ids(path).shape


def test_commands_from_nothing_to_a_checked_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "generated_cityscapes"
    with pytest.raises(UserError, match=r"no such folder; .*: leftImg8bit/, gtFine/$"):
        data_commands.check(dataset=name, output=Path("dataset.json"))
    data_commands.generate(name)
    with pytest.raises(UserError, match=f"pointrend-repro data prepare --dataset {name}"):
        data_commands.check(dataset=name, output=Path("dataset.json"))
    data_commands.prepare(name)
    data_commands.check(dataset=name, output=Path("dataset.json"))
    description = json.loads(Path("dataset.json").read_text())
    assert description["categories"] == list(INSTANCE_CLASSES.values())
    assert description["train"]["images"] == 24
    assert description["val"]["images"] == 8
    assert description["val"]["crowd_regions"] >= 1
    with pytest.raises(UserError, match="has layout coco: nothing to prepare"):
        data_commands.prepare("generated_coco")


def test_paths_and_settings() -> None:
    dataset = load_dataset("cityscapes")
    paths = data_paths("cityscapes", dataset, UserData(Path("/mine"), Path("lvis.json")))
    assert paths.val_images == Path("/mine/leftImg8bit/val")
    assert paths.val_annotations == Path("data/cityscapes_instances/instances_val.json")
    assert paths.lvis_annotations is None
    with pytest.raises(ValueError, match="only for layout coco; cityscapes has fixed names"):
        Dataset.model_validate(dataset.model_dump(exclude_unset=True) | {"val_images": "val"})


def test_recipe_is_the_supplements() -> None:
    recipe = load_paper("pointrend").protocol["cityscapes"]["instances"]
    assert recipe.input.train_short_edges_px == tuple(range(800, 1025, 32))
    assert (recipe.input.test_short_edge_px, recipe.input.max_long_edge_px) == (1024, 2048)
    assert (recipe.optimizer.images_per_batch, recipe.optimizer.base_lr) == (8, 0.01)
    schedule = recipe.schedules["1x"]
    assert (schedule.lr_drop_iters, schedule.total_iters) == ((18_000,), 18_000 + 6_000)
