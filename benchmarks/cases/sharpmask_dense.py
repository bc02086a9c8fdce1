"""SharpMask's 500 best masks of a 640x480 image: skip features shared, or each window by itself.

All sides score all windows with one pass of the trunk over each size of the image. Ours refines the
best in batches, with skip features computed once for all windows; `each location` runs the
refinement in full for one window after another, skip features included. A window's skip features
then end where ours go on, so that masks differ near their borders
(tests/modeling/test_deepmask_windows.py says where and why).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from pointrend_repro.checkpoints.known_models import known_model
from pointrend_repro.modeling.deepmask.model import DeepMask
from pointrend_repro.modeling.deepmask.windows import (
    find_windows,
    masks_of,
    resize,
    with_border,
)
from pointrend_repro.settings.deepmask import DeepMaskModelSettings
from pointrend_repro.settings.deepmask_inference import DeepMaskInferenceSettings
from pointrend_repro.tools.bench.case import Case, Size

_SIZES = {
    "full": {"height": 480, "width": 640, "proposals": 500},
    "tiny": {"height": 40, "width": 50, "proposals": 5},
}
# Of the logits' standard deviation, on average over all pixels.
MOST_DIFFERENT = 0.5


def make(size: Size, device: str) -> Case:
    asked = _SIZES[size]
    torch.manual_seed(0)
    model = DeepMask(_model_settings(size), 1).eval().to(device)
    assert model.refinement is not None
    for module in model.refinement.refine:  # with zero, random masks would be the same everywhere
        torch.nn.init.ones_(module.conv_mask.bias)
    image = torch.rand(3, asked["height"] // 8, asked["width"] // 8)
    shape = (asked["height"], asked["width"])
    image = (F.interpolate(image[None], size=shape, mode="bicubic")[0] * 255).clamp(0, 255)
    settings = DeepMaskInferenceSettings(proposals=asked["proposals"])
    given = (model, image.to(device), settings)
    return Case(
        settings=asked | {"dtype": "float32", "sizes": len(settings.scales(160))},
        sides={
            "ours": lambda: lambda: ours(*given),
            "each location": lambda: lambda: one_by_one(*given),
        },
        compare=compare,
    )


def _model_settings(size: Size) -> DeepMaskModelSettings:
    settings = known_model("sharpmask_r50_coco").model
    assert isinstance(settings, DeepMaskModelSettings)
    if size == "full":
        return settings
    return settings.model_copy(
        update={"backbone": settings.backbone.model_copy(update={"name": "resnet18_narrow"})}
    )


def ours(model: DeepMask, image: Tensor, settings: DeepMaskInferenceSettings) -> Tensor:
    windows = find_windows(model, image, settings, at_most=settings.proposals)
    return torch.cat([logits for _, logits in masks_of(model, windows, settings)])


@torch.no_grad()
def one_by_one(model: DeepMask, image: Tensor, settings: DeepMaskInferenceSettings) -> Tensor:
    maps, scores, places = [], [], []
    for level, scale in enumerate(settings.scales(model.settings.patch_px)):
        features = model.features(with_border(resize(image, scale), model)[None])
        logits = model.score_head(features[0], *model.bottleneck(features[0]))[0]
        scores.append(logits.flatten())
        rows, columns = logits.shape
        places += [(level, y, x) for y in range(rows) for x in range(columns)]
        maps.append(features)
    best = torch.cat(scores).sort(descending=True, stable=True).indices[: settings.proposals]
    return torch.cat([_refined(model, maps, places[i]) for i in best.tolist()])


def _refined(model: DeepMask, maps: list[list[Tensor]], place: tuple[int, int, int]) -> Tensor:
    """Cut the window out of the trunk's maps, and do with them what training does."""
    assert model.refinement is not None
    (level, y, x), side = place, model.window
    features = [
        whole[:, :, y * f : (y + side) * f, x * f : (x + side) * f]
        for f, whole in zip((1, 2, 4, 8), maps[level], strict=True)
    ]
    vectors = model.bottleneck(features[0])[1].flatten(1)
    logits: Tensor = model.refinement(vectors, model.refinement.skips(features))
    return logits


def compare(ours: Tensor, theirs: Tensor) -> dict[str, float]:
    assert ours.shape == theirs.shape
    difference = float((ours - theirs).abs().mean() / ours.std())
    assert difference < MOST_DIFFERENT, f"masks differ by {difference:.3f}"
    return {"mean difference / deviation": difference}
