"""Annotations that every metric of objects can use, but for a change, and no predictions."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Builder = Callable[..., Path]
Change = Callable[[dict[str, Any]], object]


def changed_truth(builder: Builder, change: Change) -> tuple[Path, Path]:
    """Return both files: LVIS's and COCO's tools, and that of keypoints, read the annotations."""
    truth = builder(val_images=2) / "annotations/instances_val2017.json"
    content = json.loads(truth.read_text())
    for image in content["images"]:
        image |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    for category in content["categories"]:
        category |= {"synset": "person.n.01", "frequency": "f"}
        category |= {"keypoints": ["nose"], "skeleton": [], "sigmas": [0.1]}
    change(content)
    truth.write_text(json.dumps(content))
    found = truth.with_name("found.json")
    found.write_text("[]")
    return truth, found


def of(kind: str, index: int, **values: Any) -> Change:
    """Return the change of an entry: its number among those of a kind, and what it then has."""

    def change(content: dict[str, Any]) -> None:
        content[kind][index].update(values)

    return change
