"""What one loader process does for six COCO images: decoding, resizing, flipping, drawing masks.

One image for each of the short edges 640 to 800; divide six by the seconds for images a second.
"""

import logging
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.loading import COCO_NOISE, folder_until_exit, photograph, polygon
from benchmarks.peers import importing_detectron2
from pointrend_repro.data.coco import Annotation, ImageRecord
from pointrend_repro.data.examples import training_example
from pointrend_repro.settings.schedule import InputSettings
from pointrend_repro.tools.bench.case import Case, Size

_SIZES = {"full": (480, 640), "tiny": (48, 64)}
_SHORT_EDGES = {"full": (640, 672, 704, 736, 768, 800), "tiny": (64,)}
_OBJECTS = 7  # COCO has 7.3 an image
_MAX_PX = 1333
MAX_DIFFERING_SHARE = 1e-4

Loaded = list[tuple[Tensor, Tensor]]  # images, and the masks of each


class Inputs:
    """JPEGs in a folder, and what is annotated in them."""

    def __init__(self, size: Size) -> None:
        self.folder = folder_until_exit()
        self.short_edges = _SHORT_EDGES[size]
        height, width = _SIZES[size]
        rng = np.random.default_rng(0)
        self.records = []
        for number in range(len(self.short_edges)):
            path = self.folder / f"{number}.jpg"
            Image.fromarray(photograph(height, width, COCO_NOISE, rng)).save(path, quality=90)
            objects = tuple(_annotation(polygon(height, width, rng)) for _ in range(_OBJECTS))
            self.records.append(ImageRecord(number, path, width, height, objects))


def _annotation(outline: list[float]) -> Annotation:
    x, y = outline[::2], outline[1::2]
    return Annotation(0, (min(x), min(y), max(x), max(y)), [outline], is_crowd=False)


def make(size: Size, device: str) -> Case:
    inputs = Inputs(size)
    height, width = _SIZES[size]
    return Case(
        settings={
            "images": len(inputs.records),
            "height": height,
            "width": width,
            "objects": _OBJECTS,
            "short_edges": list(inputs.short_edges),
        },
        sides={"ours": lambda: ours(inputs), "detectron2": lambda: detectron2(inputs)},
        compare=compare,
    )


def ours(inputs: Inputs) -> Callable[[], Loaded]:
    def run() -> Loaded:
        rng = np.random.default_rng(0)
        examples = []
        for record, edge in zip(inputs.records, inputs.short_edges, strict=True):
            settings = InputSettings(train_short_edges_px=(edge,), max_long_edge_px=_MAX_PX)
            image, target = training_example(record, settings, rng)
            examples.append((image, target.masks))
        return examples

    return run


def detectron2(inputs: Inputs) -> Callable[[], Loaded]:
    with importing_detectron2():
        from detectron2.data import DatasetMapper
        from detectron2.data import transforms as T
        from detectron2.structures import BoxMode
    logging.getLogger("detectron2").setLevel(logging.WARNING)  # a line for each mapper
    # As its PointRend reads COCO: masks as bitmaps.
    mappers = [
        DatasetMapper(
            is_train=True,
            augmentations=[T.ResizeShortestEdge(edge, _MAX_PX), T.RandomFlip()],
            image_format="BGR",
            use_instance_mask=True,
            instance_mask_format="bitmask",
        )
        for edge in inputs.short_edges
    ]
    entries = [
        {
            "file_name": str(record.path),
            "height": record.height,
            "width": record.width,
            "image_id": record.id,
            "annotations": [
                {
                    "bbox": list(each.box),
                    "bbox_mode": BoxMode.XYXY_ABS,
                    "category_id": each.label,
                    "segmentation": each.segmentation,
                    "iscrowd": 0,
                }
                for each in record.annotations
            ],
        }
        for record in inputs.records
    ]

    def run() -> Loaded:
        np.random.seed(0)
        loaded = [mapper(entry) for mapper, entry in zip(mappers, entries, strict=True)]
        return [(each["image"], each["instances"].gt_masks.tensor) for each in loaded]

    return run


def compare(ours: Loaded, theirs: Loaded) -> dict[str, float]:
    """Demand the same pixels and masks, whichever way they are turned: their sums are equal.

    detectron2 mirrors an outline and then draws it, which rounds some pixels another way.
    """
    mask_pixels = differing = 0
    for (image, masks), (their_image, their_masks) in zip(ours, theirs, strict=True):
        assert image.shape == their_image.shape
        assert image.sum(dtype=torch.int64) == their_image.sum(dtype=torch.int64)
        areas, their_areas = masks.sum(dim=(1, 2)), their_masks.sum(dim=(1, 2))
        mask_pixels += int(areas.sum())
        differing += int((areas - their_areas).abs().sum())
    assert differing < MAX_DIFFERING_SHARE * mask_pixels
    return {"differing_mask_pixels": differing / mask_pixels}
