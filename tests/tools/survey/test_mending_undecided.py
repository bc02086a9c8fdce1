"""What `data mend` cannot decide stays refused, with a line that says why."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from broken_folders import SPLITS, edit, images, lay_on_side, name, objects, outlines, pictures
from mended_folders import mend
from PIL import Image

from pointrend_repro.base.errors import UserError
from pointrend_repro.tools.survey.inspecting import inspect_folder


def scatter(root: Path) -> None:
    """The same picture name in two folders, and nothing that says which."""
    for folder in ("a", "b"):
        (root / folder).mkdir()
        for path in list(pictures(root)):
            shutil.copy(path, root / folder / path.name)
    for split in SPLITS:
        shutil.rmtree(root / f"{split}2017")
    name("https://host.example/{}")(root)


def two_ends(root: Path) -> None:
    """Two addresses that end alike, and one picture."""

    def change(document: dict[str, Any]) -> None:
        first, second = document["images"][:2]
        first["file_name"] = f"https://host.example/1/{first['file_name']}"
        second["file_name"] = first["file_name"].replace("/1/", "/2/")

    edit(root, change)


def add_copy(document: dict[str, Any]) -> None:
    document["annotations"].append(dict(document["annotations"][0]))


def ids_of_two_kinds(document: dict[str, Any]) -> None:
    document["images"][0]["id"], document["images"][1]["id"] = 7, "7"


def to_floats(root: Path) -> None:
    for path in pictures(root):
        with Image.open(path) as image:
            Image.fromarray(np.asarray(image.convert("L")) / np.float32(300)).save(
                path.with_suffix(".tif")
            )
        path.unlink()
    images(lambda e: e.update(file_name=e["file_name"].replace(".jpg", ".tif")))(root)


def small_on_side(root: Path) -> None:
    """Objects that fit into the picture as it is stored, and as it is upright."""
    square = [[8, 8, 30, 8, 30, 30, 8, 30]]
    change = {"segmentation": square, "bbox": [8, 8, 22, 22], "area": 484}
    objects(lambda e: e.update(change))(root)
    lay_on_side(root)
    images(lambda e: e.update(width=e["height"], height=e["width"]))(root)


UNDECIDED: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "boxes alone": (
        objects(lambda e: e.update(segmentation=[])),
        "",
        "so no mask; draw its outline",
    ),
    "half a point": (
        outlines(lambda value: [[*value[0], 3.5]]),
        "",
        "an odd number of coordinates",
    ),
    "the same entry twice": (
        lambda r: edit(r, add_copy),
        "",
        "has the id of another annotation",
    ),
    "ids 7 and '7'": (
        lambda r: edit(r, ids_of_two_kinds),
        "images have ids that differ only in how they are written",
        "id is '7'; write a whole number",
    ),
    "names in two folders": (scatter, "may be any of a/000000000001.jpg, b/", "is not on disk"),
    "names that end alike": (two_ends, "which is another image's, too", "is not on disk"),
    "no category": (objects(lambda e: e.update(category_id=None)), "", "has category_id None"),
    "other sizes": (images(lambda e: e.update(width=64, height=40)), "", "do not match"),
    "objects on either picture": (
        small_on_side,
        "their objects do not show on which they were drawn",
        "is 128x80 pixels, but its annotation says 80x128",
    ),
    "objects on either picture of no size": (
        lambda r: [small_on_side(r), images(lambda e: [e.pop("width"), e.pop("height")])(r)],
        "their objects do not show on which they were drawn",
        "width is None; write a whole number",
    ),
    "pictures in fractions": (to_floats, "of which nothing says what is black", "convert it to 8"),
    "masks elsewhere": (
        outlines(lambda value: [[v + 900 for v in p] for p in value]),
        "",
        "; correct the coordinates",
    ),
}


@pytest.mark.parametrize("key", sorted(UNDECIDED))
def test_what_cannot_be_decided_stays_refused(key: str, generated: Path, tmp_path: Path) -> None:
    broken, out = tmp_path / "broken", tmp_path / "out"
    shutil.copytree(generated, broken)
    change, left, refusal = UNDECIDED[key]
    change(broken)
    objects(lambda e: e.update(iscrowd=e["iscrowd"] or None))(broken)  # something to mend, too
    planned = mend(broken, out)
    assert left in "\n".join(planned.left)
    assert bool(left) == bool(planned.left)
    try:
        told = "\n".join(f.text for f in inspect_folder(out).faults)
    except UserError as error:
        told = str(error)
    assert refusal in told or "none of its images" in told
