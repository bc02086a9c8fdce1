"""What one loader process does for seven Cityscapes images: SemanticFPN's augmentation.

Decoding 1024x2048 PNGs, scaling to one of detectron2's short edges 512 to 2048 (each once), a crop
of 512x1024, SSD's colours, flipping. Divide seven by the seconds for images a second.
"""

import logging
import random
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from benchmarks.loading import CITYSCAPES_NOISE, folder_until_exit, photograph, polygon
from benchmarks.peers import importing_detectron2
from pointrend_repro.data.cityscapes import TRAIN_CLASSES
from pointrend_repro.data.semantic import IGNORED, LabelledImage, semantic_example
from pointrend_repro.settings.semantic import SemanticInputSettings
from pointrend_repro.tools.bench.case import Case, Size

_HEIGHTS = {"full": 1024, "tiny": 64}
_MAX_SHARE = 0.75
_OBJECTS = 60

Loaded = list[tuple[Tensor, Tensor]]


class Inputs:
    """Images and label images in a folder."""

    def __init__(self, size: Size) -> None:
        self.folder = folder_until_exit()
        self.height = _HEIGHTS[size]
        self.crop_px = self.height // 2, self.height
        # detectron2's: 512, 768, ... 2048 of 1024.
        self.short_edges = [self.height * quarters // 4 for quarters in range(2, 9)]
        rng = np.random.default_rng(0)
        self.records = [self._write(str(number), rng) for number in range(len(self.short_edges))]

    def _write(self, name: str, rng: np.random.Generator) -> LabelledImage:
        height, width = self.height, 2 * self.height
        path, labels = (self.folder / f"{name}_{kind}.png" for kind in ("x", "y"))
        Image.fromarray(photograph(height, width, CITYSCAPES_NOISE, rng)).save(path)
        ids = Image.new("L", (width, height), TRAIN_CLASSES[0].id)
        draw = ImageDraw.Draw(ids)
        for _ in range(_OBJECTS):
            outline = polygon(height, width, rng)
            draw.polygon(outline, fill=TRAIN_CLASSES[int(rng.integers(len(TRAIN_CLASSES)))].id)
        ids.save(labels)
        return LabelledImage(name, path, labels, width, height)


def make(size: Size, device: str) -> Case:
    inputs = Inputs(size)
    return Case(
        settings={
            "images": len(inputs.records),
            "height": inputs.height,
            "width": 2 * inputs.height,
            "crop": list(inputs.crop_px),
            "short_edges": inputs.short_edges,
        },
        sides={"ours": lambda: ours(inputs), "detectron2": lambda: detectron2(inputs)},
        compare=compare,
    )


def ours(inputs: Inputs) -> Callable[[], Loaded]:
    def run() -> Loaded:
        rng = np.random.default_rng(0)
        examples = []
        for record, edge in zip(inputs.records, inputs.short_edges, strict=True):
            settings = SemanticInputSettings(
                train_short_edges_px=(edge,),
                crop_px=inputs.crop_px,
                color_augmentation="ssd",
                crop_bootstrapping=_MAX_SHARE,
            )
            examples.append(semantic_example(record, settings, rng))
        return examples

    return run


def detectron2(inputs: Inputs) -> Callable[[], Loaded]:
    with importing_detectron2():
        from detectron2.data import DatasetMapper
        from detectron2.data import transforms as T
        from detectron2.projects.point_rend import ColorAugSSDTransform
    logging.getLogger("detectron2").setLevel(logging.WARNING)  # a line for each mapper
    # Its projects/PointRend/train_net.py, build_sem_seg_train_aug.
    mappers = [
        DatasetMapper(
            is_train=True,
            augmentations=[
                T.ResizeShortestEdge(edge, 4 * inputs.height),
                T.RandomCrop_CategoryAreaConstraint(
                    "absolute", inputs.crop_px, _MAX_SHARE, IGNORED
                ),
                ColorAugSSDTransform(img_format="BGR"),
                T.RandomFlip(),
            ],
            image_format="BGR",
        )
        for edge in inputs.short_edges
    ]
    # Its label images hold train ids already: that they are official ids here costs it nothing.
    entries = [
        {"file_name": str(r.path), "sem_seg_file_name": str(r.labels)}
        | {"height": r.height, "width": r.width}
        for r in inputs.records
    ]

    def run() -> Loaded:
        np.random.seed(0)
        random.seed(0)
        loaded = [mapper(entry) for mapper, entry in zip(mappers, entries, strict=True)]
        return [(each["image"], each["sem_seg"]) for each in loaded]

    return run


def compare(ours: Loaded, theirs: Loaded) -> dict[str, float]:
    """Demand crops of the same sizes; what is cut out is drawn by another generator."""
    for (image, labels), (their_image, their_labels) in zip(ours, theirs, strict=True):
        assert image.shape == their_image.shape
        assert labels.shape == their_labels.shape
        assert image.dtype == their_image.dtype
    return {"differing_sizes": 0}
