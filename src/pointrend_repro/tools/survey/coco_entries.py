"""Reads all entries of a COCO file, where `read_coco` would stop at the first wrong one."""

import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pointrend_repro.base.json_text import is_finite, shown
from pointrend_repro.data.category_names import category_name
from pointrend_repro.data.coco import Category, ImageRecord, is_known_empty
from pointrend_repro.data.coco_checks import (
    annotation_problem,
    category_problem,
    entry_name,
    image_problem,
    is_id,
    meant_files,
)
from pointrend_repro.data.keypoints import read_definition
from pointrend_repro.tools.survey.content import Form, Split, SplitContent, SurveyedObject
from pointrend_repro.tools.survey.findings import Finding, fault, oddity
from pointrend_repro.tools.survey.layout import CocoSplit
from pointrend_repro.tools.survey.masks import (
    NO_PIXEL,
    empty_split,
    is_rectangle,
    mask_findings,
    rectangles,
    rounded,
)

# A share of the objects. COCO has 1 in 100.
_MANY_CROWDS = 0.05


@dataclass
class _Reading:
    """What has been read from one file, and what was wrong with it."""

    path: Path
    findings: list[Finding] = field(default_factory=list)
    empty: int = 0  # objects without a pixel

    def fault(self, kind: str, text: str) -> None:
        self.findings.append(fault(kind, f"{self.path}: {text}"))

    def oddity(self, kind: str, text: str) -> None:
        self.findings.append(oddity(kind, f"{self.path}: {text}"))


def read_entries(name: Split, found: CocoSplit) -> tuple[SplitContent, list[Finding]]:
    """Read a COCO file to its end; everything that `read_coco` refuses, and more, is a fault.

    No image is opened.
    """
    reading = _Reading(found.annotations)
    categories = _categories(found.content["categories"], reading)
    images = _images(found, reading)
    missing, unlisted = _on_disk(found.images_dir, images, reading)
    objects = _objects(found.content["annotations"], images, categories, reading)
    _same_twice(objects, images, reading)
    crowds = sum(found.is_crowd for found in objects)
    if _MANY_CROWDS * len(objects) < crowds < len(objects):
        reading.oddity("splits with many crowds", crowds_told(crowds, len(objects)))
    singles = len(objects) - crowds
    reading.findings += empty_split(reading.empty, singles, reading.path)
    content = SplitContent(
        name=name,
        images_dir=found.images_dir,
        annotations=found.annotations,
        categories=tuple(sorted(categories.values(), key=lambda c: c.id)),
        images=images,
        objects=tuple(objects),
        missing=frozenset(missing),
        unlisted=unlisted,
    )
    return content, reading.findings


def crowds_told(crowds: int, objects: int) -> str:
    """Say what becomes of crowds, and of which tools they may come."""
    return (
        f"{crowds} of {objects} objects have iscrowd 1: not trained on, not scored. CVAT and "
        "Datumaro write it for every mask; if each is one object, let `data mend --no-crowds` set 0"
    )


def _categories(entries: list[Any], reading: _Reading) -> dict[int, Category]:
    found: dict[int, Category] = {}
    for index, entry in enumerate(entries):
        if problem := category_problem(entry, found):
            reading.fault("wrong categories", f"category {entry_name(entry, index)}: {problem}")
            if isinstance(entry, dict) and is_id(entry.get("id")):  # or its objects were wrong, too
                found.setdefault(entry["id"], Category(entry["id"], "", None))
        else:
            found[entry["id"]] = Category(entry["id"], category_name(entry), read_definition(entry))
    if not entries:
        reading.fault("wrong categories", "lists no categories; add them")
    names = Counter(category.name for category in found.values())
    for name in [name for name, count in names.items() if count > 1]:
        reading.oddity("names of several categories", f"{name!r} is the name of {names[name]}")
    return found


def _images(found: CocoSplit, reading: _Reading) -> dict[int, ImageRecord]:
    images: dict[int, ImageRecord] = {}
    files: Counter[str] = Counter()
    for index, entry in enumerate(found.content["images"]):
        if problem := image_problem(entry, images):
            reading.fault("wrong image entries", f"image {entry_name(entry, index)}: {problem}")
            continue
        path = found.images_dir / entry["file_name"]
        images[entry["id"]] = ImageRecord(entry["id"], path, entry["width"], entry["height"], ())
        files[os.path.normpath(path)] += 1
    for file in [file for file, count in files.items() if count > 1]:
        reading.oddity("images that are listed twice", f"{file} is listed {files[file]} times")
    return images


def _on_disk(
    images_dir: Path, images: dict[int, ImageRecord], reading: _Reading
) -> tuple[list[int], int]:
    """Return the images that are missing on disk, and how many unlisted files lie beside others.

    Images get the path that the pipeline finds them at.
    """
    there = {folder: _files(folder) for folder in {image.path.parent for image in images.values()}}
    listed: dict[Path, set[str]] = defaultdict(set)
    missing = []
    for key, image in images.items():
        folder, name = image.path.parent, image.path.name
        on_disk = next((each for each in meant_files(name) if each in there[folder]), None)
        if on_disk is None:
            missing.append(key)
        elif on_disk != name:
            images[key] = replace(image, path=folder / on_disk)
        listed[folder].add(on_disk or name)
    for key in missing:
        reading.fault(
            "images that are not on disk",
            f"image {key}: {images[key].path} is not on disk; put it there, or take it off the "
            "list with its annotations",
        )
    endings = {path.suffix.lower() for path in (image.path for image in images.values())}
    others = (there[folder] - listed[folder] for folder in listed)
    unlisted = sum(Path(name).suffix.lower() in endings for names in others for name in names)
    return missing, unlisted


def _files(folder: Path) -> set[str]:
    try:
        return {path.name for path in folder.iterdir()}
    except (OSError, ValueError):  # such as a null byte in the name
        return set()


def _objects(
    entries: Collection[Any],
    images: dict[int, ImageRecord],
    categories: dict[int, Category],
    reading: _Reading,
) -> list[SurveyedObject]:
    sizes = {key: (image.height, image.width) for key, image in images.items()}
    keypoints = {key: category.keypoints for key, category in categories.items()}
    seen: set[int] = set()
    objects, drawn_as_box = [], 0
    for index, entry in enumerate(entries):
        if is_known_empty(entry):
            continue
        name = f"annotation {entry_name(entry, index)}"
        problem = annotation_problem(entry, sizes=sizes, keypoints=keypoints)
        problem = problem or _more_wrong(entry, seen)
        if problem is not None:
            reading.fault("wrong annotations", f"{name} {problem}")
            continue
        seen.add(entry["id"])
        surveyed = _surveyed(entry)
        size, where = sizes[surveyed.image_id], f"{reading.path}: {name}"
        about = list(mask_findings(surveyed, entry["segmentation"], size, where))
        reading.findings += about
        reading.empty += not surveyed.is_crowd and any(each.kind == NO_PIXEL for each in about)
        objects.append(surveyed)
        drawn_as_box += is_rectangle(entry["segmentation"])
    reading.findings += rectangles(drawn_as_box, len(objects), reading.path)
    return objects


def _more_wrong(entry: dict[str, Any], seen: set[int]) -> str | None:
    if entry["id"] in seen:
        return "has the id of another annotation; give it one of its own"
    if not is_finite(entry.get("area")) or entry["area"] < 0:
        return (
            f"has area {shown(entry.get('area'))}; write the pixels of its mask: COCO's scorer asks"
        )
    return None


def _surveyed(entry: dict[str, Any]) -> SurveyedObject:
    x, y, width, height = map(float, entry["bbox"])
    form: Form = "polygons"
    if isinstance(entry["segmentation"], dict):
        compressed = isinstance(entry["segmentation"]["counts"], str)
        form = "compressed RLE" if compressed else "uncompressed RLE"
    return SurveyedObject(
        image_id=entry["image_id"],
        category_id=entry["category_id"],
        box=(x, y, x + width, y + height),
        area=float(entry["area"]),
        is_crowd=bool(entry.get("iscrowd", 0)),
        form=form,
        keypoints=sum(flag > 0 for flag in (entry.get("keypoints") or [])[2::3]),
    )


def _same_twice(
    objects: Iterable[SurveyedObject], images: dict[int, ImageRecord], reading: _Reading
) -> None:
    for found, count in Counter(objects).items():
        if count > 1:
            reading.oddity(
                "objects that are annotated twice",
                f"image {found.image_id} ({images[found.image_id].path.name}): category "
                f"{found.category_id} at {rounded(found.box)}, {count} times",
            )
