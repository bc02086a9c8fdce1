"""Keypoint annotations: what is read, refused, augmented and trained on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from pointrend_repro.base.errors import UserError
from pointrend_repro.config.reading import load_dataset
from pointrend_repro.data.check import describe_dataset
from pointrend_repro.data.coco import CocoDataset, read_coco
from pointrend_repro.data.examples import training_example
from pointrend_repro.data.keypoints import COCO_PERSON, COCO_SIGMAS, read_definition
from pointrend_repro.data.paths import UserData, data_paths
from pointrend_repro.data.training_splits import objects
from pointrend_repro.declarations.family import FAMILIES
from pointrend_repro.settings.instances import TrainingSettings
from pointrend_repro.settings.schedule import InputSettings

Document = dict[str, Any]
Builder = Callable[..., Path]

ARROW = {
    "keypoints": ["tip", "left_barb", "right_barb", "middle", "end"],
    "sigmas": [0.03, 0.2, 0.2, 0.05, 0.1],
    "skeleton": [[1, 4], ["middle", "end"]],
}
# In the frame of pixels' indices, of an image 64 x 48.
POINTS = [10, 5, 2, 4, 9, 2, 20, 9, 1, 0, 0, 0, 63, 47, 2]


def with_arrows(document: Document) -> None:
    """Rectangles (category 3) get keypoints, labelled in all images but the last."""
    category = next(c for c in document["categories"] if c["id"] == 3)
    category |= ARROW
    last = document["images"][-1]["id"]
    for entry in document["annotations"]:
        if entry["category_id"] == 3:
            labelled = entry["image_id"] != last
            entry |= {"keypoints": POINTS if labelled else [0] * 15, "num_keypoints": 4 * labelled}


def and_then(change: Callable[[Document, Document], object]) -> Callable[[Document], None]:
    """Keypoints, and a change of the category that has them and of its first object."""

    def mutate(document: Document) -> None:
        with_arrows(document)
        category = next(c for c in document["categories"] if c["id"] == 3)
        change(category, next(a for a in document["annotations"] if a["category_id"] == 3))

    return mutate


def read_train(root: Path) -> CocoDataset:
    return read_coco(root / "train2017", root / "annotations/instances_train2017.json")


def training(**changed: Any) -> TrainingSettings:
    model = {"backbone": {"name": "resnet50"}, "mask_head": {"kind": "4conv"}}
    model |= changed.pop("model", {})
    return TrainingSettings(model=model, schedule={"total_iters": 1}, **changed)


def test_reads_keypoints_of_a_category_and_its_objects(coco_builder: Builder) -> None:
    dataset = read_train(coco_builder(mutate=with_arrows))
    rectangle, triangle, _ = dataset.categories
    assert triangle.keypoints is None
    definition = rectangle.keypoints
    assert definition is not None
    assert definition.names == tuple(ARROW["keypoints"])
    assert definition.sigmas == tuple(ARROW["sigmas"])
    assert definition.skeleton == ((0, 3), (3, 4))
    assert definition.flip_pairs == ((1, 2),)
    assert definition.mirrored == (0, 2, 1, 3, 4)
    first, last = dataset.images[0], dataset.images[-1]
    assert first.keypoints == definition
    assert [a.keypoints for a in first.annotations] == [tuple(POINTS), None, None]
    assert [a.keypoints for a in last.annotations] == [None, None, None]


def test_real_files_are_read_as_pycocotools_reads_them(shared_data: Path) -> None:
    root = shared_data / "coco_keypoints_tiny"
    if not root.is_dir():
        pytest.skip("coco_keypoints_tiny is not among the real test data")
    for split, count in (("train", 32), ("val", 16)):
        path = root / f"annotations/person_keypoints_{split}2017.json"
        dataset, coco = read_coco(root / f"{split}2017", path), COCO(str(path))
        assert len(dataset.images) == count
        (person,) = dataset.categories
        assert person.keypoints is not None
        assert person.keypoints.names == COCO_PERSON
        assert person.keypoints.sigmas == COCO_SIGMAS
        assert person.keypoints.flip_pairs == tuple((k, k + 1) for k in range(1, 17, 2))
        assert [[a + 1, b + 1] for a, b in person.keypoints.skeleton] == coco.cats[1]["skeleton"]
        inside: list[bool] = []
        for image in dataset.images:
            expected = coco.loadAnns(coco.getAnnIds(image.id))
            assert [a.keypoints for a in image.annotations] == [
                tuple(entry["keypoints"]) for entry in expected
            ]
            _, target = training_example(
                image, InputSettings(train_short_edges_px=(200,)), np.random.default_rng(0)
            )
            assert target.keypoints is not None
            labelled = target.keypoints[..., 2] > 0
            assert labelled.sum() == sum(e["num_keypoints"] for e in expected)
            box = target.boxes[:, None] + target.boxes.new_tensor([-8, -8, 8, 8])
            x_and_y = target.keypoints[..., :2]
            there = ((x_and_y >= box[..., :2]) & (x_and_y <= box[..., 2:])).all(-1)
            inside += there[labelled].tolist()
        assert np.mean(inside) > 0.95  # of their object's box


def definition(**entry: Any) -> Any:
    return read_definition({"id": 1, "name": "thing", **entry})


def test_pairs_come_from_names_or_from_the_file() -> None:
    names = ["leftEye", "EyeRight", "rightEye", "EyeLeft", "nose"]
    assert definition(keypoints=names).flip_pairs == ((0, 2), (3, 1))
    assert definition(keypoints=names, flip_pairs=[]).flip_pairs == ()
    assert definition(keypoints=names, flip_pairs=[["nose", "EyeLeft"]]).flip_pairs == ((4, 3),)
    assert definition(keypoints=names, flip_pairs=[[1, 5]]).flip_pairs == ((0, 4),)


def test_sigmas_are_cocos_only_for_cocos_keypoints() -> None:
    assert definition(keypoints=list(COCO_PERSON)).sigmas == COCO_SIGMAS
    assert definition(keypoints=list(COCO_PERSON), sigmas=[1] * 17).sigmas == (1.0,) * 17
    assert definition(keypoints=list(COCO_PERSON[:5])).sigmas is None
    assert definition() is None
    assert definition(keypoints=[]) is None


WRONG = {
    "length": (lambda c, a: a.update(keypoints=[1, 2, 2]), "has 3 numbers in keypoints, but its c"),
    "no list": (lambda c, a: a.update(keypoints="here"), "not a list of finite numbers"),
    "infinite": (lambda c, a: a.update(keypoints=[float("inf")] * 15), "not a list of finite num"),
    "visibility": (
        lambda c, a: a.update(keypoints=[1, 2, 3, *POINTS[3:]]),
        "'tip' with visibility 3; write 0",
    ),
    "count": (lambda c, a: a.update(num_keypoints=5), "has num_keypoints 5, but 4 keypoints with"),
    "count of none": (lambda c, a: a.pop("keypoints"), "has num_keypoints 4, but 0 keypoints with"),
    "outside": (
        lambda c, a: a.update(keypoints=[*POINTS[:-3], 65, 20, 2]),
        r"keypoint 'end' at \(65, 20\), outside its image of 64 x 48 pixels; correct it, or give",
    ),
    "negative": (
        lambda c, a: a.update(keypoints=[5, -0.5, 1, *POINTS[3:]]),
        r"keypoint 'tip' at \(5, -0.5\), outside its image",
    ),
    "no definition": (lambda c, a: c.pop("keypoints"), "has keypoints, but category 3 does not na"),
    "names": (lambda c, a: c.update(keypoints=[1, 2]), r"category 3: keypoints is \[1, 2\]; write"),
    "twice": (lambda c, a: c.update(keypoints=["a"] * 5), "category 3: keypoint 'a' appears twice"),
    "one side": (
        lambda c, a: c.update(keypoints=["left_a", "b", "c", "d", "e"], skeleton=[]),
        "category 3: keypoint 'left_a' has no 'right_a'; write the pairs",
    ),
    "other side": (
        lambda c, a: c.update(keypoints=["right_a", "b", "c", "d", "e"], skeleton=[]),
        "category 3: keypoint 'right_a' has no left counterpart; write the pairs",
    ),
    "sigmas": (lambda c, a: c.update(sigmas=[1, 2]), "category 3: has 2 sigmas for 5 keypoints"),
    "no number": (
        lambda c, a: c.update(sigmas=[0] * 5),
        "category 3: sigmas is .* numbers above 0",
    ),
    "pairs": (lambda c, a: c.update(flip_pairs=[["tip", "tap"]]), r"flip_pairs has \['tip', 'tap"),
    "three": (
        lambda c, a: c.update(flip_pairs=[[1, 2, 3]]),
        r"flip_pairs has \[1, 2, 3\]; write p",
    ),
    "two pairs": (lambda c, a: c.update(flip_pairs=[[1, 2], [2, 3]]), "a keypoint in two pairs"),
    "from zero": (lambda c, a: c.update(skeleton=[[0, 1]]), r"skeleton has \[0, 1\]; .* 1 to 5"),
    "no pairs": (lambda c, a: c.update(skeleton=3), "skeleton is 3; write a list of pairs"),
}


@pytest.mark.parametrize("case", WRONG)
def test_faults_are_told_in_one_line(coco_builder: Builder, case: str) -> None:
    change, message = WRONG[case]
    with pytest.raises(UserError, match=message) as raised:
        read_train(coco_builder(mutate=and_then(change)))
    assert "instances_train2017.json: " in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_other_tools_write_is_no_fault(coco_builder: Builder) -> None:
    def mutate(document: Document) -> None:
        with_arrows(document)
        for category in document["categories"]:
            category.setdefault("keypoints", [])
            category.setdefault("skeleton", [])
        one, two, *others = (a for a in document["annotations"] if a["category_id"] == 3)
        del one["num_keypoints"]
        one["keypoints"] = [*map(float, POINTS[:9]), 999, -7, 0, 64, 48, 2]
        del two["num_keypoints"], two["keypoints"]
        for entry in others:
            entry["keypoints"], entry["num_keypoints"] = [], 0
        for entry in document["annotations"]:
            entry.setdefault("keypoints", [])

    dataset = read_train(coco_builder(mutate=mutate))
    found = [image.annotations[0].keypoints for image in dataset.images]
    assert found == [(*POINTS[:9], 999, -7, 0, 64, 48, 2), None, None, None]
    _, target = training_example(
        dataset.images[0], InputSettings(train_short_edges_px=(48,)), np.random.default_rng(1)
    )
    assert target.keypoints is not None
    assert target.keypoints[0, 3:].tolist() == [[0, 0, 0], [64, 48, 2]]


@pytest.mark.parametrize("flip", [0.0, 1.0])
@pytest.mark.parametrize("short", [48, 30, 96])
def test_keypoints_stay_on_the_pixel_that_they_mark(
    coco_builder: Builder, flip: float, short: int
) -> None:
    """Each labelled keypoint is a white pixel in a black image; left and right change places."""
    dataset = read_train(coco_builder(mutate=with_arrows))
    record = dataset.images[0]
    settings = InputSettings(train_short_edges_px=(short,), flip_probability=flip)
    for index, name in enumerate(ARROW["keypoints"]):
        x, y, flag = POINTS[3 * index : 3 * index + 3]
        if not flag:
            continue
        pixels = np.zeros((48, 64), dtype=np.uint8)
        pixels[y, x] = 255
        Image.fromarray(pixels).convert("RGB").save(record.path, quality=100)
        image, target = training_example(record, settings, np.random.default_rng(0))
        assert target.keypoints is not None
        assert target.keypoints.shape == (3, 5, 3)
        weights = image[0].double().numpy() ** 2  # so that the JPEG's noise does not count
        rows, columns = np.indices(weights.shape) + 0.5
        center = (weights * columns).sum() / weights.sum(), (weights * rows).sum() / weights.sum()
        mirrored = {"left_barb": "right_barb", "right_barb": "left_barb"}
        now = ARROW["keypoints"].index(mirrored.get(name, name) if flip else name)
        place = target.keypoints[0, now]
        assert place[2] == flag
        assert place[:2].tolist() == pytest.approx(center, abs=0.6 * max(short / 48, 1))
    assert target.keypoints[0, 3].tolist() == [0, 0, 0]
    assert not target.keypoints[1:].any()


@pytest.mark.parametrize("short", [20, 48, 111])
def test_a_flip_mirrors_at_the_middle_of_the_image(coco_builder: Builder, short: int) -> None:
    record = read_train(coco_builder(mutate=with_arrows)).images[0]
    targets = []
    for flip in (0.0, 1.0):
        settings = InputSettings(train_short_edges_px=(short,), flip_probability=flip)
        image, target = training_example(record, settings, np.random.default_rng(0))
        assert target.keypoints is not None
        targets.append(target.keypoints[0].numpy())
    straight, flipped = targets
    width = image.shape[2]
    mirrored = straight[[0, 2, 1, 3, 4]]  # the barbs change places
    mirrored[:, 0] = np.where(mirrored[:, 2] > 0, width - mirrored[:, 0], 0)
    assert np.allclose(flipped, mirrored, atol=1e-4)
    assert np.allclose(straight[0], [10.5 * width / 64, 5.5 * short / 48, 2])


def test_an_image_without_labels_has_zeros_and_a_data_set_without_keypoints_none(
    coco_builder: Builder, tmp_path: Path
) -> None:
    settings = InputSettings(train_short_edges_px=(48,))
    with_keypoints = read_train(coco_builder(mutate=with_arrows)).images[-1]
    _, target = training_example(with_keypoints, settings, np.random.default_rng(0))
    assert target.keypoints is not None
    assert target.keypoints.shape == (3, 5, 3)
    assert not target.keypoints.any()
    without = read_train(coco_builder(root=tmp_path / "plain")).images[0]
    _, target = training_example(without, settings, np.random.default_rng(0))
    assert target.keypoints is None


def test_which_images_are_trained_on(coco_builder: Builder) -> None:
    dataset = read_train(coco_builder(mutate=with_arrows))
    family = FAMILIES.find("mask_rcnn")
    masks = training()
    keypoints = training(model={"keypoint_head": {"num_keypoints": 5}})
    same_images = training(input={"only_with_keypoints": True})
    assert [i.id for i in family.training_records(dataset, masks)] == [1, 2, 3, 4]
    assert [i.id for i in family.training_records(dataset, keypoints)] == [1, 2, 3]
    assert [i.id for i in family.training_records(dataset, same_images)] == [1, 2, 3]
    for settings in (masks, keypoints, same_images):
        family.require(dataset, settings, Path("a.json"))


HEAD = {"keypoint_head": {"num_keypoints": 5}}


@pytest.mark.parametrize(
    ("mutate", "settings", "message"),
    [
        (lambda d: None, training(model=HEAD), "no category has keypoints; give annotations"),
        (lambda d: None, training(input={"only_with_keypoints": True}), "no category has keypoi"),
        (
            with_arrows,
            training(model={"keypoint_head": {}}),
            "its objects have 5 keypoints, but the model's keypoint_head has num_keypoints 17",
        ),
        (
            and_then(lambda c, a: c.pop("sigmas")),
            training(model=HEAD),
            r"category 'rectangle' has no sigmas.* write \"sigmas\": \[0.05.* of its 5 keypoints",
        ),
        (
            lambda d: [with_arrows(d), d["categories"][0].update(keypoints=["a"], sigmas=[1])],
            training(model=HEAD),
            "categories 'rectangle' and 'triangle' have different keypoints; give both the same",
        ),
        (
            lambda d: [with_arrows(d), [a.pop(k, 0) for a in d["annotations"] for k in
                                        ("keypoints", "num_keypoints")]],
            training(model=HEAD),
            "no object has a labelled keypoint; there is nothing to learn",
        ),
    ],
)  # fmt: skip
def test_data_without_the_keypoints_of_a_head_are_refused(
    coco_builder: Builder, mutate: Any, settings: TrainingSettings, message: str
) -> None:
    dataset = read_train(coco_builder(mutate=mutate))
    with pytest.raises(UserError, match=f"a.json: {message}") as raised:
        FAMILIES.find("mask_rcnn").require(dataset, settings, Path("a.json"))
    assert "\n" not in str(raised.value)
    FAMILIES.find("mask_rcnn").require(dataset, training(), Path("a.json"))


def test_keypoints_decide_the_weights_only_where_there_are_some(coco_builder: Builder) -> None:
    first, *_, last = read_train(coco_builder(mutate=with_arrows)).images
    assert len(objects(last)) == 2  # what it was before there were keypoints
    assert json.loads(json.dumps(objects(first)))[2:] == [[POINTS, None, None], [[1, 2]]]
    assert objects(first)[:2] == [1, [(a.label, a.is_crowd, *a.box) for a in first.annotations]]


def test_a_data_set_is_described_and_its_two_splits_must_agree(coco_builder: Builder) -> None:
    root = coco_builder(mutate=with_arrows)
    config = load_dataset("coco_folder")
    paths = data_paths("coco_folder", config, UserData(root))
    described = describe_dataset("coco_folder", config, paths)
    assert described["keypoints"] == ARROW["keypoints"]
    assert described["train"]["objects_with_keypoints"] == 3
    path = paths.val_annotations
    content = json.loads(path.read_text())
    for category in content["categories"]:
        category.pop("sigmas", None)
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="its categories, or their keypoints, are not those of"):
        describe_dataset("coco_folder", config, paths)


def test_a_data_set_without_keypoints_is_described_as_before(coco_builder: Builder) -> None:
    config = load_dataset("coco_folder")
    paths = data_paths("coco_folder", config, UserData(coco_builder()))
    described = describe_dataset("coco_folder", config, paths)
    splits = {"train", "val", "box_sizes", "fingerprints"}
    assert set(described) == {"dataset", "title", "categories", *splits}
    assert "objects_with_keypoints" not in described["train"]
