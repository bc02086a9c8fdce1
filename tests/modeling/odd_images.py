"""Batches that a network must learn from whatever they hold, and the objects of their images."""

import math

import torch
from torch import Tensor

from pointrend_repro.data.structures import Target

NUM_CLASSES = 3

# Height, width and the boxes of objects, of each image.
Batch = list[tuple[int, int, list[list[float]]]]
BATCHES: dict[str, Batch] = {
    "with objects": [(64, 96, [[8, 8, 40, 50], [30.5, 20, 90, 60]]), (64, 64, [[4, 4, 60, 60]])],
    "one image without": [(64, 96, [[8, 8, 40, 50]]), (64, 64, [])],
    "none with objects": [(64, 96, []), (40, 64, [])],
    "1x1": [(1, 1, [[0, 0, 1, 1]])],
    "1x1 without": [(1, 1, [])],
    "panorama": [(32, 320, [[0, 0, 320, 32], [300, 2, 310, 30]])],
    "very small object": [(64, 64, [[10.2, 10.2, 10.9, 10.6]])],
}


def target(height: int, width: int, boxes: list[list[float]]) -> Target:
    """Objects that fill their boxes, of one class after another."""
    masks = torch.zeros(len(boxes), height, width, dtype=torch.bool)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[int(y0) : math.ceil(y1), int(x0) : math.ceil(x1)] = True
    labels = torch.arange(len(boxes)) % NUM_CLASSES
    return Target(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), labels, masks)


def smooth_image(height: int, width: int, seed: int = 0) -> Tensor:
    """(3, H, W) float, 0 to 255."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 5, 5, generator=generator) * 255
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")[0]
