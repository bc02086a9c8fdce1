"""How long a detector takes for an image, by stage (Mask R-CNN, section 4.4).

The time of a network does not depend on its weights, but for two things: how many boxes remain to
be suppressed, and how many masks there are. An untrained detector finds nothing with confidence. So
the lowest score is set such that at least as many boxes of classes go into the suppression as there
are proposals, and there are always as many masks as the settings allow: 100, the most that an image
can have (none without a mask head; keypoints count as boxes). No image file is read or resized: the
paper's time is that of the network.
"""

import statistics
from typing import Any

import numpy as np
import torch
from torch import nn

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import build_model
from pointrend_repro.data.examples import inference_image
from pointrend_repro.data.structures import Detections
from pointrend_repro.evaluation.clock import Clock
from pointrend_repro.modeling.conv_norm import ConvNorm
from pointrend_repro.modeling.paste import mask_window
from pointrend_repro.settings.at_test import (
    DetectionAtTest,
    detector_at_test,
    input_at_test,
    on_top,
)
from pointrend_repro.settings.instances import InferenceSettings, ModelSettings
from pointrend_repro.settings.schedule import InputSettings

HEIGHT_PX, WIDTH_PX = 480, 640  # of most of COCO's images
_NUM_CLASSES = 80
_RESIDUAL_SCALE = 0.1
_ROUNDS = {"cpu": 3, "cuda": 20}


def inference_time(
    settings: ModelSettings, inference: InferenceSettings, *, size: InputSettings, device: str
) -> dict[str, float]:
    """Measure a detector with random weights on a random image.

    Args:
        size: to which the image is resized, unless `inference.test` says another.
        device: `cpu` or `cuda`.

    Returns:
        `trunk_ms`, `boxes_ms` (proposals, box head, suppression), `masks_ms`, their sum
        `total_ms`, `pasting_ms` (masks to the CPU and into the image, as predictions do), and
        `images_per_s` of all together; each the median of several rounds after one that is not
        counted.

    Raises:
        UserError: the model only proposes boxes, the inference setting asks for several views of an
            image, or NMS leaves fewer boxes than `detections_per_image`.
    """
    if inference.test.has_views:
        raise UserError("inference_time is that of one view: leave out test.flip and further sizes")
    if settings.rpn_only:
        raise UserError("inference_time is that of a detector, not of proposals (model.rpn_only)")
    torch.manual_seed(0)
    model = build_model(settings, num_classes=_NUM_CLASSES).eval().to(device)
    _damp_residuals(model)
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8)
    image = inference_image(pixels, input_at_test(size, inference.test)).to(device)
    asked = inference.model_copy(update={"test": _with_boxes(model, image, inference)})
    clock = Clock(device)
    model.backbone.forward = clock.timing("trunk", model.backbone.forward)
    if model.mask_head is not None:
        scoring = getattr(model.mask_head, "iou_head", None) is not None  # `masks_and_quality`
        name = "scored" if scoring else "predict"
        setattr(model.mask_head, name, clock.timing("masks", getattr(model.mask_head, name)))
    scale = (WIDTH_PX / image.shape[2], HEIGHT_PX / image.shape[1])
    detect, paste = clock.timing("network", model.detect), clock.timing("pasting", _paste)
    rounds = []
    for _ in range(1 + _ROUNDS[device]):
        clock.spent_ms.clear()
        (found,) = detect([image], asked)
        paste(found, scale)
        rounds.append(dict(clock.spent_ms))
    return _medians(rounds[1:])


def _damp_residuals(model: nn.Module) -> None:
    """Make residual blocks change little of what passes through them.

    An untrained norm with fixed statistics holds nothing back: each block would double the
    variance, and after a whole trunk the boxes would be too large to be proposals.
    """
    for block in model.modules():
        if hasattr(block, "shortcut"):
            last = [part for part in block.children() if isinstance(part, ConvNorm)][-1]
            with torch.no_grad():
                last.weight.mul_(_RESIDUAL_SCALE)


def _with_boxes(model: Any, image: torch.Tensor, inference: InferenceSettings) -> DetectionAtTest:
    """Return what to test with, so that NMS leaves `detections_per_image` boxes.

    As many boxes of classes go into it as there are proposals, or as small a multiple as will do.
    """
    calls: list[tuple[Any, Any]] = []
    hook = model.box_head.register_forward_hook(lambda _, *call: calls.append(call))
    model.detect([image], inference)
    hook.remove()
    (((_, proposals), (logits, deltas)),) = calls
    size = (image.shape[1], image.shape[2])
    scores = logits.softmax(dim=1)[:, :-1].flatten().sort(descending=True).values
    wanted = detector_at_test(model.box_head.settings, inference.test).detections_per_image
    kept, step = 0, max(len(logits), 1)
    for count in range(step, len(scores) + step, step):
        lowest = float(scores[count]) if count < len(scores) else 0.0
        test = on_top(inference.test, DetectionAtTest(score_threshold=lowest))
        ((boxes, *_),) = model.box_head.detect(logits, deltas, proposals, [size], test)
        kept = len(boxes)
        if kept == wanted:
            return test
    raise UserError(
        f"inference_time: of {len(scores)} boxes NMS leaves {kept}, fewer than "
        f"detections_per_image ({wanted})"
    )


def _paste(found: Detections, scale: tuple[float, float]) -> None:
    found = found.to(torch.device("cpu"))
    if found.mask_logits is None:
        return
    boxes = found.boxes * found.boxes.new_tensor(scale).repeat(2)
    for logits, box in zip(found.mask_logits, boxes, strict=True):
        mask_window(logits, box, HEIGHT_PX, WIDTH_PX)


def _medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    def median(name: str) -> float:
        return statistics.median(each.get(name, 0.0) for each in rounds)

    def boxes(each: dict[str, float]) -> float:
        return each["network"] - each["trunk"] - each.get("masks", 0.0)

    return {
        "images_per_s": 1000 / statistics.median(e["network"] + e["pasting"] for e in rounds),
        "total_ms": median("network"),
        "trunk_ms": median("trunk"),
        "boxes_ms": statistics.median(boxes(each) for each in rounds),
        "masks_ms": median("masks"),
        "pasting_ms": median("pasting"),
    }
