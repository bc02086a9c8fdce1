"""The best mIoU that logits of an output stride can have: how much of a label image cells lose.

For each label image, logits of one cell per stride are fitted to the image itself, by gradient
descent on the cross-entropy of their bilinear upsampling, the loss that a model of this stride is
trained with. What these logits miss, a model that ends in them cannot find, however well it is
trained. docs/evidence/why.md has what came out.

    python -m benchmarks.what_a_stride_keeps data/mini_cityscapes --json out.json
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pointrend_repro.data.label_images import ID_COUNT, read_label_ids
from pointrend_repro.data.semantic import IGNORED, label_ids, read_labelled_images, read_train_ids
from pointrend_repro.evaluation.mean_iou import mean_iou
from pointrend_repro.modeling.semantic.losses import mean_cross_entropy
from pointrend_repro.modeling.semantic.upsampling import upsample

STRIDES = (4, 8, 16, 32)
CLASSES = 19
STEPS, RATE = 100, 0.5


def fitted(labels: Tensor, stride: int) -> Tensor:
    """Return the train ids that logits of a stride predict once they are fitted to `labels`.

    Args:
        labels: train ids (H, W), int64, or `IGNORED`; stride divides both sides.
    """
    size = (labels.shape[0], labels.shape[1])
    known = labels != IGNORED
    one_hot = F.one_hot(labels * known, CLASSES).movedim(-1, 0) * known
    logits = (F.avg_pool2d(one_hot.float()[None], stride) + 0.01).log().requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=RATE)
    for _ in range(STEPS):
        optimizer.zero_grad()
        mean_cross_entropy(upsample(logits, size), labels[None]).backward()
        optimizer.step()
    return upsample(logits.detach(), size)[0].argmax(0)


def confusion(truth: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count the pixels of label ids [ground truth, prediction]."""
    pairs = truth.astype(np.int64) * ID_COUNT + predicted
    counts = np.bincount(pairs.ravel(), minlength=ID_COUNT * ID_COUNT)
    return counts.reshape(ID_COUNT, ID_COUNT)


def main() -> None:
    """Print and write the best mIoU of each stride."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("root", type=Path, help="a folder in Cityscapes' layout, whose val is read")
    parser.add_argument("--images", type=int, default=50, help="how many, evenly spread")
    parser.add_argument("--json", type=Path, help="a file to write")
    asked = parser.parse_args()
    images = read_labelled_images(asked.root, "val").images
    images = images[:: max(1, len(images) // asked.images)][: asked.images]
    counts = {stride: np.zeros((ID_COUNT, ID_COUNT), np.int64) for stride in STRIDES}
    for image in images:
        truth = read_label_ids(image.labels)
        labels = torch.from_numpy(read_train_ids(image.labels).astype(np.int64))
        for stride in STRIDES:
            found = fitted(labels, stride).numpy().astype(np.uint8)
            counts[stride] += confusion(truth, label_ids(found))
    best = {str(stride): round(mean_iou(each) or 0.0, 2) for stride, each in counts.items()}
    print(f"{len(images)} images, mIoU by output stride: {best}")
    if asked.json:
        text = json.dumps({"images": len(images), "best_miou_by_stride": best}, indent=2)
        asked.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
