"""What a folder holds, to compare a mended one with the good one."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from pointrend_repro.data.coco import CocoDataset, read_coco
from pointrend_repro.data.segmentations import segmentation_mask
from pointrend_repro.tools.survey.layout import CocoFolder, find_layout
from pointrend_repro.tools.survey.mending.planning import Plan, plan_mending
from pointrend_repro.tools.survey.mending.sources import find_sources
from pointrend_repro.tools.survey.mending.writing import write_copy

# (category, crowd or not, mask, box) of each object, by the name of the picture without ending
Truth = dict[str, list[tuple[str, bool, str, list[float]]]]


def plan(root: Path, **options: Any) -> Plan:
    return plan_mending(find_sources(root), **({"val_share": 0.4, "seed": 0} | options))


def mend(root: Path, out: Path, **options: Any) -> Plan:
    planned = plan(root, **options)
    write_copy(planned, out, link=False)
    return planned


def truths(root: Path) -> dict[str, Truth]:
    folder = find_layout(root)
    assert isinstance(folder, CocoFolder)
    found = {}
    for which, split in folder.splits.items():
        dataset = read_coco(split.images_dir, split.annotations)
        found[which] = {
            image.path.stem.rsplit(" ")[-1]: [
                (
                    dataset.categories[a.label].name,
                    a.is_crowd,
                    digest(segmentation_mask(a.segmentation, image.height, image.width)),
                    list(a.box),
                )
                for a in image.annotations
            ]
            for image in dataset.images
        }
    return found


def digest(pixels: np.ndarray) -> str:
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def assert_same(found: Truth, good: Truth) -> None:
    assert sorted(found) == sorted(good)
    for picture, there in found.items():
        assert [o[:3] for o in there] == [o[:3] for o in good[picture]], picture
        for (_, is_crowd, _, box), (*_, wanted) in zip(there, good[picture], strict=True):
            # COCO writes outlines and boxes with two digits, and crowds' boxes less a pixel.
            np.testing.assert_allclose(box, wanted, atol=1.01 if is_crowd else 0.03)


def read_split(root: Path, split: str, year: str = "2017") -> CocoDataset:
    folder = root / f"{split}{year}"
    return read_coco(
        folder if folder.is_dir() else root / "images",
        root / f"annotations/instances_{split}{year}.json",
    )
