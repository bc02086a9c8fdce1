"""Why a DeepLabV3 that was trained at output stride 16 gains or loses at 8 (Table 6's OS-8).

Dilation gives a trained model's logits at every 8 instead of 16 pixels: those of even cells are
the ones of stride 16, the others lie between them. Two things change for all of them. A cell k of
stride s is taken to cover the pixels from s k to s (k + 1), as everywhere with
`align_corners=False`, but convolutions centre it at s k: in training the model learns to look half
a cell, 8 pixels, to the right and down, and at stride 8 its cells are placed by 4. And its logits
were learnt to be interpolated over 16 pixels on each side, not 8. The mIoU of each:

- stride 16, as trained; stride 8, as in the table; the even cells of stride 8 alone, which must
  agree with the first but at borders;
- stride 8, moved by the 4 pixels; the same, interpolated over 16 pixels (a tent over cells first).

docs/evidence/why.md has what came out.

    python -m benchmarks.dilated_inference data/mini_cityscapes \
        results/mini/mini_cityscapes/deeplabv3_r103/trial?/model.safetensors --json out.json
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from benchmarks.semantic_models import command_line, measure_models, semantic_model
from benchmarks.what_a_stride_keeps import confusion
from pointrend_repro.data.examples import inference_image
from pointrend_repro.data.images import read_image
from pointrend_repro.data.label_images import ID_COUNT, read_label_ids
from pointrend_repro.data.semantic import LabelledImage, label_ids
from pointrend_repro.evaluation.mean_iou import mean_iou
from pointrend_repro.modeling.semantic.upsampling import Size, upsample
from pointrend_repro.settings.semantic import SemanticInferenceSettings

MOVED_PX = 4  # half a cell of 16 less half a cell of 8


def moved(large: Tensor, pixels: int) -> Tensor:
    """Move a map (N, K, H, W) to the right and down; the edge is repeated."""
    height, width = large.shape[2:]
    return F.pad(large, (pixels, 0, pixels, 0), mode="replicate")[:, :, :height, :width]


def tent(logits: Tensor) -> Tensor:
    """Average neighbouring cells of (N, K, h, w) by 1, 2, 1 along both axes."""
    padded = F.pad(logits, (1, 1, 1, 1), mode="replicate")
    return F.avg_pool2d(F.avg_pool2d(padded, 2, stride=1), 2, stride=1)


def ways(at_16: Tensor, at_8: Tensor, size: Size) -> Iterator[tuple[str, Tensor]]:
    """Yield each way's name and its logits at the size of the image."""
    yield "stride 16", upsample(at_16, size)
    yield "stride 8", upsample(at_8, size)
    yield "stride 8, even cells", upsample(at_8[:, :, ::2, ::2], size)
    yield "stride 8, moved", moved(upsample(at_8, size), MOVED_PX)
    yield "stride 8, moved, over 16 px", moved(upsample(tent(at_8), size), MOVED_PX)


def by_way(path: Path, images: tuple[LabelledImage, ...]) -> dict[str, float]:
    """Return the mIoU of a model in each way."""
    saved, model = semantic_model(path)
    shape = (ID_COUNT, ID_COUNT)
    counts: dict[str, NDArray[np.int64]] = defaultdict(lambda: np.zeros(shape, np.int64))
    for image in images:
        pixels = inference_image(read_image(image.path), saved.input)
        at_16, at_8 = (
            model.refinement([pixels], SemanticInferenceSettings(output_stride=stride))[0].logits
            for stride in (16, 8)
        )
        truth = read_label_ids(image.labels)
        for way, logits in ways(at_16, at_8, (image.height, image.width)):
            found = logits[0].argmax(0).numpy().astype(np.uint8)
            counts[way] += confusion(truth, label_ids(found))
    return {way: round(mean_iou(each) or 0.0, 2) for way, each in counts.items()}


if __name__ == "__main__":
    measure_models(command_line(__doc__).parse_args(), by_way)
