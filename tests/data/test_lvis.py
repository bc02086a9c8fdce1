"""LVIS's annotations are checked against val before anything is trained: AP* is silent later."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pointrend_repro.base.errors import UserError
from pointrend_repro.config.datasets import Dataset
from pointrend_repro.config.reading import load_dataset
from pointrend_repro.data.check import describe_dataset
from pointrend_repro.data.coco_synsets import COCO_CATEGORIES
from pointrend_repro.data.generated.making import generate_dataset
from pointrend_repro.data.paths import UserData, data_paths
from pointrend_repro.data.preparing import prepare_annotations

Document = dict[str, Any]
COCO = {row.id: row.name for row in COCO_CATEGORIES}


def of_coco(document: Document) -> None:
    """The builder's classes under COCO's names."""
    for category in document["categories"]:
        category["name"] = COCO[category["id"]]


@pytest.fixture
def root(coco_builder: Callable[..., Path]) -> Path:
    return coco_builder(val_images=3, mutate=of_coco)


def check(root: Path, lvis: Path, **values: Any) -> Document:
    basic = {"title": "Mine", "layout": "coco", "root": str(root), "num_classes": None}
    config = Dataset.model_validate(basic | values)
    paths = data_paths("mine", config, UserData(lvis_annotations=lvis))
    if config.is_prepared:
        prepare_annotations("mine", config, paths)
    return describe_dataset("mine", config, paths)


def val_of(root: Path) -> Document:
    return json.loads((root / "annotations/instances_val2017.json").read_text())


def write_lvis(root: Path, image_ids: list[int], categories: int = 1230) -> Path:
    synsets = {row.id: row.synset for row in COCO_CATEGORIES}
    listed = [{"id": c["id"], "synset": synsets[c["id"]]} for c in val_of(root)["categories"]]
    listed += [{"id": 1000 + n, "synset": f"x{n}.n.01"} for n in range(categories - len(listed))]
    images = [{"id": number} for number in image_ids]
    content = {"images": images, "annotations": [], "categories": listed}
    path = root / "lvis.json"
    path.write_text(json.dumps(content))
    return path


def ids(root: Path) -> list[int]:
    return [image["id"] for image in val_of(root)["images"]]


def test_all_of_val_or_a_part_of_it(root: Path) -> None:
    for listed in (ids(root), ids(root)[1:]):
        found = check(root, write_lvis(root, listed))
        assert found["lvis"]["images"] == len(listed)


@pytest.mark.parametrize(
    ("categories", "advice"),
    [
        (1230, "missed; cut it to val's images (docs/data.md)"),
        (1203, "missed; this is LVIS v1, whose val has images of train2017, too: give v0.5's, or "),
    ],
)
def test_images_that_val_lacks(root: Path, categories: int, advice: str) -> None:
    lvis = write_lvis(root, [*ids(root), 77, 78], categories)
    with pytest.raises(UserError) as caught:
        check(root, lvis)
    told = str(caught.value)
    assert told.startswith(f"{lvis}: lists 2 images that {root}/annotations/instances_val2017.json")
    assert "such as 77" in told
    assert advice in told
    assert "\n" not in told


def test_images_of_another_data_set(shared_data: Path) -> None:
    """COCO's own images and LVIS's own file, which have none in common."""
    with pytest.raises(UserError, match=r"such as 266409, .*; the two have no image in common, so"):
        check(shared_data / "coco_tiny", shared_data / "lvis/lvis_val_100.json")


def test_the_published_subset_on_its_images(
    shared_data: Path, coco_builder: Callable[..., Path]
) -> None:
    """All 100 images of LVIS v0.5's file are of COCO's val2017, by its own addresses."""
    lvis = shared_data / "lvis/lvis_val_100.json"
    images = json.loads(lvis.read_text())["images"]
    assert all("/val2017/" in image["coco_url"] for image in images)

    def mutate(document: Document) -> None:
        of_coco(document)
        if len(document["images"]) == len(images):
            renumber(document, [image["id"] for image in images])

    root = coco_builder(val_images=len(images), mutate=mutate)
    assert check(root, lvis)["lvis"]["images"] == 100


def renumber(document: Document, numbers: list[int]) -> None:
    new = dict(zip((image["id"] for image in document["images"]), numbers, strict=True))
    for image in document["images"]:
        image["id"] = new[image["id"]]
    for annotation in document["annotations"]:
        annotation["image_id"] = new[annotation["image_id"]]


@pytest.mark.parametrize("taken", [{"val_first": 2}, {"val_from_train": 1}])
def test_a_part_of_the_images_needs_its_own(
    root: Path, taken: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    train = json.loads((root / "annotations/instances_train2017.json").read_text())["images"]
    listed = ids(root) if "val_first" in taken else [image["id"] for image in train]
    lvis = write_lvis(root, listed)
    with pytest.raises(UserError, match="cut it to val's images"):
        check(root, lvis, **taken)
    # As docs/data.md says.
    (prepared,) = (root / "data").glob("*/instances_val.json")
    val = {image["id"] for image in json.loads(prepared.read_text())["images"]}
    content = json.loads(lvis.read_text())
    content["images"] = [image for image in content["images"] if image["id"] in val]
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] in val]
    lvis.write_text(json.dumps(content))
    assert check(root, lvis, **taken)["lvis"]["images"] == len(val)


def test_ids_that_are_other_classes_in_coco(coco_builder: Callable[..., Path]) -> None:
    """They would be scored as COCO's classes with these ids."""
    root = coco_builder()
    first = min(val_of(root)["categories"], key=lambda category: category["id"])
    with pytest.raises(UserError) as caught:
        check(root, write_lvis(root, ids(root)))
    told = str(caught.value)
    assert f"category {first['id']} is {first['name']!r}, but in COCO that id is " in told
    assert repr(COCO[first["id"]]) in told
    found = check(root, write_lvis(root, [*ids(root), 77]), metrics=["coco_ap"])
    assert found["lvis"]["images"] == len(ids(root)) + 1  # nothing is scored by them


def test_classes_that_the_data_set_lacks_are_told(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lvis = write_lvis(root, ids(root))
    content = json.loads(lvis.read_text())
    content["categories"] += [{"id": 9999, "synset": "toothbrush.n.01"}]
    lvis.write_text(json.dumps(content))
    with caplog.at_level(logging.WARNING):
        check(root, lvis)
    assert (
        "COCO's classes that the data set lacks, too, such as toothbrush (classes in all: 1)"
        in (caplog.text)
    )


def test_generated_scenes_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_dataset("generated_coco")
    assert config.generate is not None
    small = config.generate.model_copy(update={"train_images": 4, "val_images": 4})
    paths = data_paths("generated_coco", config, UserData())
    generate_dataset(paths.root, config.layout, small)
    assert describe_dataset("generated_coco", config, paths)["lvis"]["images"] == 4
