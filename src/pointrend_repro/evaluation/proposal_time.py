"""How long DeepMask or SharpMask takes for the masks and scores of an image (Tables 1 and 2).

The time does not depend on the weights: all windows are scored, and a fixed number of masks is
made. It is that of the network at all sizes of the image, which is on the device already; putting
masks into the image, and run lengths, are not in the paper's times either.
"""

import statistics

import torch

from pointrend_repro.checkpoints.saved_models import build_model
from pointrend_repro.evaluation.clock import Clock
from pointrend_repro.modeling.deepmask.model import DeepMask
from pointrend_repro.modeling.deepmask.windows import find_windows, masks_of
from pointrend_repro.settings.deepmask import DeepMaskModelSettings
from pointrend_repro.settings.deepmask_inference import DeepMaskInferenceSettings
from pointrend_repro.settings.schedule import InputSettings

HEIGHT_PX, WIDTH_PX = 480, 640  # of most of COCO's images
_ROUNDS = {"cpu": 2, "cuda": 20}


def proposal_time(
    settings: DeepMaskModelSettings,
    inference: DeepMaskInferenceSettings,
    *,
    size: InputSettings,
    device: str,
) -> dict[str, float]:
    """Measure a model with random weights on a random image of 640 x 480 pixels.

    Args:
        inference: sizes, and of how many windows masks are made.
        size: not used: images are seen at sizes of their own.
        device: `cpu` or `cuda`.

    Returns:
        `score_ms`: what is computed for scores alone; `total_ms`; and their difference
        `mask_ms`. Each is the median of several rounds after one that is not counted.
    """
    torch.manual_seed(0)
    model: DeepMask = build_model(settings, num_classes=1).eval().to(device)
    image = torch.randint(0, 256, (3, HEIGHT_PX, WIDTH_PX), dtype=torch.uint8).to(device)
    clock = Clock(device)
    head = model.score_head
    head.forward = clock.timing("score", head.forward)  # type: ignore[method-assign]
    run = clock.timing("total", _run)
    rounds = []
    for _ in range(1 + _ROUNDS[device]):
        clock.spent_ms.clear()
        run(model, image, inference)
        rounds.append(dict(clock.spent_ms))
    total, score = (
        statistics.median(each[name] for each in rounds[1:]) for name in ("total", "score")
    )
    return {"mask_ms": total - score, "score_ms": score, "total_ms": total}


def _run(model: DeepMask, image: torch.Tensor, inference: DeepMaskInferenceSettings) -> None:
    windows = find_windows(model, image, inference, at_most=inference.proposals)
    for _ in masks_of(model, windows, inference):
        pass
