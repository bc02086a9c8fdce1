"""Pasting and run-length encoding: 100 masks of 224x224 into an image of 800x1216.

`whole image` samples each mask at every pixel of the image and encodes what comes out. detectron2
samples inside the box, pastes into masks of the whole image, and encodes these.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from pycocotools import mask as coco_mask
from torch import Tensor

from benchmarks.inputs import random_boxes
from benchmarks.peers import importing_detectron2
from pointrend_repro.modeling.paste import mask_window
from pointrend_repro.predictions.rle import encode_window
from pointrend_repro.tools.bench.case import Case, Size

_SIZES = {
    "full": {"num_boxes": 100, "mask_side": 224, "height": 800, "width": 1216},
    "tiny": {"num_boxes": 3, "mask_side": 28, "height": 60, "width": 80},
}


@dataclass(frozen=True)
class Inputs:
    """Masks of one image: logits (R, M, M) over boxes (R, 4) xyxy pixels, and its size."""

    logits: Tensor
    boxes: Tensor
    height: int
    width: int


def make(size: Size, device: str) -> Case:
    settings = _SIZES[size]
    height, width, side = settings["height"], settings["width"], settings["mask_side"]
    generator = torch.Generator().manual_seed(0)
    rough = torch.randn(settings["num_boxes"], 1, 7, 7, generator=generator) * 4
    logits = F.interpolate(rough, size=(side, side), mode="bicubic").squeeze(1)
    boxes = random_boxes(settings["num_boxes"], height, width, generator)
    inputs = Inputs(logits.to(device), boxes.to(device), height, width)
    return Case(
        settings=settings,
        sides={
            "ours": lambda: lambda: ours(inputs),
            "whole image": lambda: lambda: whole_image(inputs),
            "detectron2": lambda: detectron2(inputs),
        },
        compare=compare,
    )


def ours(inputs: Inputs) -> list[str]:
    size = inputs.height, inputs.width
    pairs = zip(inputs.logits, inputs.boxes, strict=True)
    return [encode_window(mask_window(m, b, *size), *size)["counts"] for m, b in pairs]


def whole_image(inputs: Inputs) -> list[str]:
    return [encode(_paste(m, b, inputs)) for m, b in zip(inputs.logits, inputs.boxes, strict=True)]


def _paste(logits: Tensor, box: Tensor, inputs: Inputs) -> Tensor:
    x0, y0, x1, y1 = box.tolist()
    x = (torch.arange(inputs.width, device=box.device) + 0.5 - x0) / (x1 - x0) * 2 - 1
    y = (torch.arange(inputs.height, device=box.device) + 0.5 - y0) / (y1 - y0) * 2 - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)[None]
    mask = F.grid_sample(logits.sigmoid()[None, None], grid, align_corners=False)[0, 0]
    return mask >= 0.5


def detectron2(inputs: Inputs) -> Callable[[], list[str]]:
    with importing_detectron2():
        from detectron2.layers.mask_ops import paste_masks_in_image

    def run() -> list[str]:
        size = inputs.height, inputs.width
        masks = paste_masks_in_image(inputs.logits.sigmoid(), inputs.boxes, size)
        return [encode(mask) for mask in masks]

    return run


def encode(mask: Tensor) -> str:
    pixels = np.asfortranarray(mask.cpu().numpy().astype(np.uint8))
    counts: bytes = coco_mask.encode(pixels)["counts"]
    return counts.decode("ascii")


def compare(ours: list[str], theirs: list[str]) -> dict[str, float]:
    differing = sum(a != b for a, b in zip(ours, theirs, strict=True))
    assert differing == 0, f"{differing} masks have another RLE"
    return {"differing_masks": differing}
