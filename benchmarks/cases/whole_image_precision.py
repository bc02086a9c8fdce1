"""The whole image of `whole_image` in float32 and in bfloat16 (`test: {precision: bf16}`).

How many detections have a partner, of the same class and with boxes of an IoU of 0.9, is reported.
What bfloat16 does to the AP of trained models stands in docs/performance/images.md.
"""

from collections.abc import Callable
from functools import partial

import torch
from torchvision.ops import box_iou

from benchmarks.cases.whole_image import CONV4, POINTREND
from benchmarks.peers import require_bfloat16
from benchmarks.whole_models import Scene
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.config.reading import with_test
from pointrend_repro.predictions.instances import Instances, predict_image
from pointrend_repro.settings.at_test import Precision
from pointrend_repro.tools.bench.case import Case, Size

SAME_BOX = 0.9
_SIZES = {"full": (800, 1216), "tiny": (96, 128)}
Found = tuple[str, Instances]


def make(size: Size, device: str) -> Case:
    scene = Scene(*_SIZES[size])
    side = partial(find, scene, device)

    def bfloat16(model: str) -> Callable[[], Found]:
        require_bfloat16(device)
        return side(model, "bf16")

    return Case(
        settings={"height": scene.height, "width": scene.width},
        sides={
            "ours": lambda: side(POINTREND, "fp32"),
            "bfloat16": lambda: bfloat16(POINTREND),
            "4x conv": lambda: side(CONV4, "fp32"),
            "bfloat16, 4x conv": lambda: bfloat16(CONV4),
        },
        compare=compare,
    )


def find(scene: Scene, device: str, model: str, precision: Precision) -> Callable[[], Found]:
    case = scene.case(model)
    saved = SavedModel(scene.model(model).to(device), case.input, list(case.known.categories))
    (image,) = (i.permute(1, 2, 0).numpy() for i in scene.images(model))
    settings = with_test(case.known.inference, {"precision": precision}, where="test")
    return lambda: (model, predict_image(saved, image, settings))


def compare(first: Found, other: Found) -> dict[str, float]:
    counts = {"detections": len(first[1].scores), "others": len(other[1].scores)}
    if first[0] != other[0]:
        return counts
    same = box_iou(torch.from_numpy(first[1].boxes), torch.from_numpy(other[1].boxes)) > SAME_BOX
    same &= torch.from_numpy(first[1].labels)[:, None] == torch.from_numpy(other[1].labels)
    return counts | {"with_a_partner": int(same.any(dim=1).sum())}
