"""Preset smoke's validation images have objects of every size, so that no column is empty."""

import json
from pathlib import Path

import pytest

from pointrend_repro.config.reading import load_dataset
from pointrend_repro.data.generated.making import generate_dataset

# COCO's, in square pixels.
SMALL, LARGE = 32**2, 96**2


# AP of keypoints leaves out small people.
@pytest.mark.parametrize(
    ("name", "smallest"), [("generated_coco", SMALL), ("generated_people", LARGE)]
)
def test_objects_of_each_size(tmp_path: Path, name: str, smallest: int) -> None:
    dataset = load_dataset(name)
    assert dataset.generate is not None
    only_val = dataset.generate.model_copy(update={"train_images": 0})
    generate_dataset(tmp_path / "drawn", dataset.layout, only_val)
    (file,) = (tmp_path / "drawn/annotations").glob("*_val2017.json")
    annotations = json.loads(file.read_text())["annotations"]
    # Only people with labelled keypoints count for keypoint AP.
    areas = [a["area"] for a in annotations if not a["iscrowd"] and a.get("num_keypoints", 1) > 0]
    assert min(areas) < smallest
    assert any(SMALL < area < LARGE for area in areas)
    assert max(areas) > LARGE
