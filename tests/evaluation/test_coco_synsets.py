import json
from pathlib import Path

from pointrend_repro.data.coco_synsets import COCO_CATEGORIES


def test_table_is_whole_and_one_to_one() -> None:
    assert len(COCO_CATEGORIES) == 80
    for column in zip(*COCO_CATEGORIES, strict=True):
        assert len(set(column)) == 80
    ids = [row.id for row in COCO_CATEGORIES]
    assert ids == sorted(ids)
    assert (ids[0], ids[-1]) == (1, 90)


def test_table_is_the_official_one(shared_data: Path) -> None:
    official = json.loads((shared_data / "lvis/coco_to_synset.json").read_text())
    assert {(row.id, row.name, row.synset) for row in COCO_CATEGORIES} == {
        (value["coco_cat_id"], name, value["synset"]) for name, value in official.items()
    }


def test_names_are_those_of_coco(shared_data: Path) -> None:
    path = shared_data / "coco_tiny/annotations/instances_val2017.json"
    categories = json.loads(path.read_text())["categories"]
    assert [(row.id, row.name) for row in COCO_CATEGORIES] == [
        (category["id"], category["name"]) for category in categories
    ]


def test_synsets_occur_in_lvis(shared_data: Path) -> None:
    lvis = json.loads((shared_data / "lvis/lvis_val_100.json").read_text())
    synsets = {category["id"]: category["synset"] for category in lvis["categories"]}
    wanted = {row.synset for row in COCO_CATEGORIES}
    assert len(wanted & set(synsets.values())) == 78
    assert sum(synsets[a["category_id"]] in wanted for a in lvis["annotations"]) == 435
