"""How well masks fit when the box is right: what average precision mixes with detection.

Of the annotated objects for which every model has a box of the right class with an IoU of at least
0.7, the mean IoU of these detections' masks with the outline, by size and by class. With a second
file of annotations of the same images, such as LVIS', the same for its outlines. Several files of a
model are its trials; objects are compared within a trial. docs/evidence/why.md has what came out.

    python benchmarks/mask_quality.py --annotations instances_val2017.json \
        --exact lvis_v0.5_val.json --model "4x conv" trial?/default/predictions.json \
        --model "PointRend" trial?/res224/predictions.json --json out.json
"""

import argparse
import itertools
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

SAME_BOX = 0.7
SAME_OBJECT = 0.5
SIZES_PX = (0, 32, 56, 80, 112, 1000)
Row = dict[str, Any]


class Object(NamedTuple):
    """An annotated object: its class, area in pixels, and IoUs by model with both outlines."""

    category: str
    area: float
    coarse: list[float]
    exact: list[float] | None


def iou(first: Any, second: list[Any]) -> NDArray[np.float64]:
    """IoU of one box (xywh) or mask (RLE) with each of several."""
    return np.asarray(coco_mask.iou([first], second, [0] * len(second)))[0]


def found_masks(annotations: COCO, predictions: Path) -> dict[int, Any]:
    """By annotation, the mask of the detection of its class that fits its box best."""
    detections: dict[tuple[int, int], list[Row]] = defaultdict(list)
    for found in json.loads(predictions.read_text()):
        detections[found["image_id"], found["category_id"]].append(found)
    masks = {}
    for annotation in annotations.dataset["annotations"]:
        candidates = detections[annotation["image_id"], annotation["category_id"]]
        if annotation.get("iscrowd") or not candidates:
            continue
        overlaps = iou(annotation["bbox"], [found["bbox"] for found in candidates])
        if overlaps.max() >= SAME_BOX:
            masks[annotation["id"]] = candidates[int(overlaps.argmax())]["segmentation"]
    return masks


def exact_outlines(annotations: COCO, exact: COCO) -> dict[int, Any]:
    """By annotation, the mask of the other file's annotation that overlaps it most."""
    outlines = {}
    for annotation in annotations.dataset["annotations"]:
        others = [exact.annToRLE(other) for other in exact.imgToAnns[annotation["image_id"]]]
        if annotation.get("iscrowd") or not others:
            continue
        overlaps = iou(annotations.annToRLE(annotation), others)
        if overlaps.max() >= SAME_OBJECT:
            outlines[annotation["id"]] = others[int(overlaps.argmax())]
    return outlines


def objects_of_trial(
    annotations: COCO, exact: dict[int, Any] | None, files: list[Path]
) -> Iterator[Object]:
    """The objects that all models have found, with each model's IoU."""
    found = [found_masks(annotations, path) for path in files]
    for key in sorted(set.intersection(*(set(masks) for masks in found))):
        annotation = annotations.anns[key]
        masks = [masks[key] for masks in found]
        outline = annotations.annToRLE(annotation)
        other = None if exact is None else exact.get(key)
        yield Object(
            annotations.cats[annotation["category_id"]]["name"],
            float(annotation["area"]),
            list(iou(outline, masks)),
            None if other is None else list(iou(other, masks)),
        )


def mean(rows: list[list[float]], models: list[str]) -> dict[str, float]:
    return {
        name: round(float(value), 4) for name, value in zip(models, np.mean(rows, 0), strict=True)
    }


def summary(trials: list[list[Object]], models: list[str]) -> Row:
    """Means over objects: of all trials, of each, by size, by class, and of both outlines."""
    objects = [found for trial in trials for found in trial]
    sizes = {}
    for least, most in itertools.pairwise(SIZES_PX):
        inside = [found.coarse for found in objects if least**2 <= found.area < most**2]
        if inside:
            sizes[f"{least} to {most} px"] = {"objects": len(inside)} | mean(inside, models)
    classes: dict[str, list[list[float]]] = defaultdict(list)
    for found in objects:
        classes[found.category].append(found.coarse)
    both = [found for found in objects if found.exact is not None]
    result = {
        "objects": len(objects),
        "mask_iou": mean([found.coarse for found in objects], models),
        "by_trial": [mean([found.coarse for found in trial], models) for trial in trials],
        "by_square_root_of_area": sizes,
        "by_class": {
            name: {"objects": len(rows)} | mean(rows, models) for name, rows in classes.items()
        },
    }
    if both:
        result["objects_with_both_outlines"] = len(both)
        result["of_these_against_the_outline"] = mean([found.coarse for found in both], models)
        result["of_these_against_the_exact_outline"] = mean(
            [found.exact for found in both if found.exact is not None], models
        )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--annotations", type=Path, required=True)
    parser.add_argument("--exact", type=Path)
    parser.add_argument("--model", nargs="+", action="append", required=True)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    annotations = COCO(str(options.annotations))
    exact = exact_outlines(annotations, COCO(str(options.exact))) if options.exact else None
    models = [name for name, *_ in options.model]
    trials = [
        list(objects_of_trial(annotations, exact, list(map(Path, files))))
        for files in zip(*(files for _, *files in options.model), strict=True)
    ]
    text = json.dumps(summary(trials, models), indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
