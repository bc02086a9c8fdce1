"""Reads all label images of a folder in Cityscapes' layout as a split."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.cityscapes import (
    IMAGE_ENDING,
    INSTANCE_CLASSES,
    files_by_name,
    image_id,
    instance_annotations,
    read_instance_ids,
)
from pointrend_repro.data.coco import Category, ImageRecord
from pointrend_repro.data.paths import label_ending
from pointrend_repro.tools.survey.content import Split, SplitContent, SurveyedObject
from pointrend_repro.tools.survey.findings import Finding, fault

_CLASSES = "Cityscapes' layout has Cityscapes' ids; bring other classes in COCO's format"


def read_streets(name: Split, root: Path) -> tuple[SplitContent, list[Finding]]:
    """Read a split's instances as `prepare_instances` does, but without stopping at faults.

    Args:
        name: the split.
        root: the folder that holds leftImg8bit/ and gtFine/.
    """
    images_dir, labels_dir = root / "leftImg8bit" / name, root / "gtFine" / name
    photographs = files_by_name(images_dir, IMAGE_ENDING)
    labels = files_by_name(labels_dir, label_ending("instanceIds"))
    findings = _unpaired(photographs, labels, images_dir, labels_dir)
    images: dict[int, ImageRecord] = {}
    objects: list[SurveyedObject] = []
    paired = sorted(photographs.keys() & labels.keys())
    for stem in track(paired, f"{name} label images", console=Console(stderr=True)):
        key = image_id(stem)
        try:
            ids = read_instance_ids(labels[stem])
        except UserError as error:
            hint = f"; {_CLASSES}" if "has the id" in str(error) else ""
            findings.append(fault("label images that cannot be read", f"{error}{hint}"))
            continue
        images[key] = ImageRecord(key, photographs[stem], ids.shape[1], ids.shape[0], ())
        objects += [_surveyed(key, entry) for entry in instance_annotations(ids)]
    content = SplitContent(
        name=name,
        images_dir=images_dir,
        annotations=labels_dir,
        categories=tuple(Category(*item) for item in sorted(INSTANCE_CLASSES.items())),
        images=images,
        objects=tuple(objects),
        missing=frozenset(),
        unlisted=0,
    )
    return content, findings


def _unpaired(
    photographs: dict[str, Path], labels: dict[str, Path], images_dir: Path, labels_dir: Path
) -> list[Finding]:
    findings = [
        fault(
            "photographs without a label image",
            f"{photographs[stem]}: has no {stem}{label_ending('instanceIds')} in {labels_dir}",
        )
        for stem in sorted(photographs.keys() - labels.keys())
    ]
    findings += [
        fault(
            "label images without a photograph",
            f"{labels[stem]}: has no {stem}{IMAGE_ENDING} in {images_dir}",
        )
        for stem in sorted(labels.keys() - photographs.keys())
    ]
    findings += [
        fault(
            "label images in another city",
            f"{photographs[stem]}: lies in another city than {labels[stem]}; put both into "
            "folders of one name",
        )
        for stem in sorted(photographs.keys() & labels.keys())
        if photographs[stem].parent.name != labels[stem].parent.name
    ]
    if not photographs and not labels:
        text = f"{images_dir} holds no <city>/*{IMAGE_ENDING}; splits are called train and val"
        findings.append(fault("empty splits", text))
    return findings


def _surveyed(key: int, entry: dict[str, Any]) -> SurveyedObject:
    x, y, width, height = entry["bbox"]
    return SurveyedObject(
        image_id=key,
        category_id=entry["category_id"],
        box=(x, y, x + width, y + height),
        area=float(entry["area"]),
        is_crowd=bool(entry["iscrowd"]),
        form="compressed RLE",
    )
