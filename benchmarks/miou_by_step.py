"""Where a semantic PointRend model has its mIoU from: its coarse prediction, or the points after.

The mIoU of every subdivision step's logits, upsampled to the image: the first step is the coarse
prediction alone, at the trunk's output stride. A model without PointRend has only this one.
A model's file does not say how many points its preset predicts in a step: `--points` does (512 in
preset mini), and without it they are the paper's. docs/evidence/why.md has what came out.

    python -m benchmarks.miou_by_step data/mini_cityscapes --points 512 \
        results/mini/mini_cityscapes/deeplabv3*/trial?/model.safetensors --json out.json
"""

from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.semantic_models import command_line, measure_models, semantic_model
from benchmarks.what_a_stride_keeps import confusion
from pointrend_repro.data.examples import inference_image
from pointrend_repro.data.images import read_image
from pointrend_repro.data.label_images import ID_COUNT, read_label_ids
from pointrend_repro.data.semantic import LabelledImage, label_ids
from pointrend_repro.evaluation.mean_iou import mean_iou
from pointrend_repro.modeling.semantic.upsampling import upsample
from pointrend_repro.settings.semantic import SemanticInferenceSettings

PAPERS = SemanticInferenceSettings().points_per_step


def by_step(
    path: Path, images: tuple[LabelledImage, ...], points: int = PAPERS
) -> dict[str, float]:
    """Return the mIoU of each step of a model, by the step's resolution.

    Args:
        points: PointRend's N.
    """
    saved, model = semantic_model(path)
    counts: dict[str, NDArray[np.int64]] = defaultdict(
        lambda: np.zeros((ID_COUNT, ID_COUNT), np.int64)
    )
    settings = SemanticInferenceSettings(points_per_step=points)
    for image in images:
        pixels = inference_image(read_image(image.path), saved.input)
        for step in model.refinement([pixels], settings):
            height, width = step.logits.shape[2:]
            large = upsample(step.logits, (image.height, image.width))
            found = large[0].argmax(0).numpy().astype(np.uint8)
            counts[f"{width}x{height}"] += confusion(read_label_ids(image.labels), label_ids(found))
    return {size: round(mean_iou(each) or 0.0, 2) for size, each in counts.items()}


if __name__ == "__main__":
    parser = command_line(__doc__)
    parser.add_argument("--points", type=int, default=PAPERS, help=f"N; {PAPERS}: the paper's")
    asked = parser.parse_args()
    measure_models(asked, partial(by_step, points=asked.points), {"points_per_step": asked.points})
