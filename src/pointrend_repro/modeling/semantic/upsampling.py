"""Upsamples logits and turns them into label maps."""

import torch
import torch.nn.functional as F
from torch import Tensor

from pointrend_repro.modeling.semantic.ranking import raise_labels

Size = tuple[int, int]


def upsample(logits: Tensor, size: Size) -> Tensor:
    """Interpolate (N, K, h, w) bilinearly to (N, K, H, W), treating cells as areas."""
    if logits.shape[2:] == size:
        return logits
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)


def label_map(logits: Tensor, *, padded_size: Size, input_size: Size, output_size: Size) -> Tensor:
    """Return the most likely class of each pixel of one image.

    The logits are upsampled to the network's padded input, the padding is cut off, and the rest is
    resized to the output size, one class at a time, so that memory stays at a few output maps
    whatever the number of classes.

    Args:
        logits: (K, h, w), of the padded input; K at most 255.
        padded_size: height and width of the padded input, in its pixels.
        input_size: height and width of the image in its upper left corner.
        output_size: height and width of the map to return.

    Returns:
        (H, W) uint8 train ids. If logits are equal, the lower class wins.
    """
    best = torch.full(output_size, -torch.inf, device=logits.device, dtype=logits.dtype)
    labels = torch.zeros(output_size, device=logits.device, dtype=torch.uint8)
    for index, of_class in enumerate(logits):
        at_input = upsample(of_class[None, None], padded_size)[
            ..., : input_size[0], : input_size[1]
        ]
        score = upsample(at_input, output_size)[0, 0]
        raise_labels(labels, score > best, index)
        best = torch.maximum(best, score)
    return labels
