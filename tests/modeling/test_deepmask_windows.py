"""Dense inference: a window's score and mask are those of the network on the patch itself.

In training a patch has 16 pixels of its image around it. Beyond them the trunk's convolutions see
the patch mirrored, and the skip features' convolutions see their maps mirrored at the patch's own
border, since the context's cells are cropped before. In an image both see the image. So a window

- equals its patch where no convolution looks further than that (`only_centres`);
- equals its patch with more context than the trunk sees, cropped after the skip features, whatever
  the weights are;
- differs from its patch as in training elsewhere: skip features in the three outermost cells of
  each map, and what comes from the trunk everywhere, more so towards the border, since ResNet-50 up
  to res4 sees 133 pixels to each side of a cell, and a patch with its context is 192 wide.

For VGG-A, which pads by zeros and has no context, zeros stand where an image has pixels.
"""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from pointrend_repro.data.patch_cutting import GREY
from pointrend_repro.modeling.deepmask import windows as dense
from pointrend_repro.modeling.deepmask.model import DeepMask
from pointrend_repro.modeling.deepmask.windows import (
    Windows,
    boxes_of,
    find_windows,
    looked_up,
    masks_of,
    resize,
    with_border,
)
from pointrend_repro.settings.deepmask import DeepMaskModelSettings
from pointrend_repro.settings.deepmask_inference import DeepMaskInferenceSettings

SMALL: dict[str, Any] = {
    "backbone": {"name": "resnet18_narrow"},
    "patch_px": 64,
    "feature_channels": 8,
    "bottleneck_channels": 16,
    "score_channels": 12,
    "mask_resolution": 8,
}
REFINED = SMALL | {"refinement": {"k": 16, "skip_channels": [8]}}
ONE_SIZE = DeepMaskInferenceSettings(octaves=(0, 0))


def small_model(settings: dict[str, Any], *, only_centres: bool = False) -> DeepMask:
    """A narrow network whose scores and masks differ from window to window.

    Args:
        only_centres: makes all 3x3 convolutions of the trunk and of the skip features 1x1 ones, so
            that a cell sees a few pixels only: the 7x7 convolution's and the pooling's.
    """
    torch.manual_seed(0)
    model = DeepMask(DeepMaskModelSettings.model_validate(settings), 1).eval()
    for conv in model.modules():
        if isinstance(conv, nn.Conv2d | nn.Linear):
            nn.init.normal_(conv.weight, std=1.0 / conv.weight[0].numel() ** 0.5)
    if model.refinement is not None:
        for module in model.refinement.refine:
            nn.init.ones_(module.conv_mask.bias)  # few channels: none may stay below zero
    if only_centres:
        for name, conv in model.named_modules():
            shared = not name.endswith(("conv_mask", "predictor"))
            if shared and isinstance(conv, nn.Conv2d) and conv.kernel_size == (3, 3):
                with torch.no_grad():
                    centre = conv.weight[:, :, 1:2, 1:2].clone()
                    conv.weight.zero_()
                    conv.weight[:, :, 1:2, 1:2] = centre * 3
    return model


def picture(height: int, width: int) -> Tensor:
    """Something with structure at several sizes."""
    torch.manual_seed(1)
    parts = [torch.rand(1, 3, height // s + 2, width // s + 2) for s in (4, 9, 20)]
    parts = [F.interpolate(part, size=(height, width), mode="bicubic") for part in parts]
    return (sum(parts)[0] * 85).clamp(0, 255)


def of_patch(
    model: DeepMask, padded: Tensor, cell: tuple[int, int], context_px: int, *, crop_late: bool
) -> tuple[Tensor, Tensor]:
    """Cut a window with context out of the image with its border; its score's logit and its mask.

    Args:
        crop_late: crop the context's cells from the skip features instead of the trunk's maps, as
            training does.
    """
    y, x = (place * model.stride for place in cell)
    side = model.settings.patch_px + 2 * context_px
    # Grey beyond the border, as far as the context reaches.
    wide = F.pad(padded, (context_px,) * 4, value=GREY)
    features = model.features(wide[None, :, y : y + side, x : x + side])
    cells = [context_px // model.stride * 2**i for i in range(len(features))]
    inside = [cropped(maps, count) for maps, count in zip(features, cells, strict=True)]
    reduced, vectors = model.bottleneck(inside[0])
    score = model.score_head(inside[0], reduced, vectors).flatten()[0]
    flat = vectors.flatten(1)
    if model.refinement is None:
        return score, model.coarse_masks(flat)[0]
    skips = model.refinement.skips(features if crop_late else inside)
    if crop_late:
        skips = [cropped(maps, count) for maps, count in zip(skips, cells, strict=True)]
    return score, model.refinement(flat, skips)[0]


def cropped(maps: Tensor, cells: int) -> Tensor:
    return maps[:, :, cells : maps.shape[2] - cells, cells : maps.shape[3] - cells]


def all_masks(
    model: DeepMask, found: Windows, settings: DeepMaskInferenceSettings = ONE_SIZE
) -> Tensor:
    return torch.cat([logits for _, logits in masks_of(model, found, settings)])


def differences(
    model: DeepMask, image: Tensor, context_px: int, *, inside: bool = False
) -> tuple[float, float]:
    """Return how far windows differ from patches at most: logits of scores, and of masks.

    As shares of what the logits differ among windows.

    Args:
        inside: leave out windows that see beyond the border, and crop late.
    """
    found = find_windows(model, image, ONE_SIZE, at_most=None)
    masks, logits = all_masks(model, found), found.scores.double().logit()
    padded = with_border(image, model)
    score_off, mask_off, count = 0.0, 0.0, 0
    reach = context_px // model.stride
    rows, columns = ((side // model.stride) - model.window for side in padded.shape[1:])
    for i, (y, x) in enumerate(found.cells.tolist()):
        if inside and not (reach <= y <= rows - reach and reach <= x <= columns - reach):
            continue
        with torch.no_grad():
            score, mask = of_patch(model, padded, (y, x), context_px, crop_late=inside)
        score_off = max(score_off, abs(float(score - logits[i])))
        mask_off = max(mask_off, float((mask - masks[i]).abs().max()))
        count += 1
    assert count > 1
    return score_off / float(logits.std()), mask_off / float(masks.std(dim=0).mean())


@pytest.mark.parametrize("settings", [SMALL, REFINED], ids=["deepmask", "sharpmask"])
def test_a_window_is_its_patch_where_the_trunk_does_not_see_beyond_its_context(
    settings: dict[str, Any],
) -> None:
    """In all windows, those over the border included; with the 16 pixels of training."""
    model = small_model(settings, only_centres=True)
    off = differences(model, picture(50, 70), context_px=16)
    assert max(off) < 1e-3


@pytest.mark.parametrize("settings", [SMALL, REFINED], ids=["deepmask", "sharpmask"])
def test_a_window_is_its_patch_with_all_that_the_trunk_sees(settings: dict[str, Any]) -> None:
    """This trunk sees 99 pixels to each side of a cell, so 128 of context are enough."""
    model = small_model(settings)
    off = differences(model, picture(290, 260), context_px=128, inside=True)
    assert max(off) < 1e-3
    # While with the context of training the mirrored border is seen.
    with_less = differences(model, picture(100, 100), context_px=16)
    assert min(with_less) > 1e-2


def test_vgg_with_its_zero_padding() -> None:
    """VGG-A to its fourth pooling sees 67 pixels to each side at most; the score is interleaved."""
    settings = SMALL | {"backbone": {"name": "vgg11_narrow", "padding": "zero"}, "head": "original"}
    settings |= {"context_px": 0}
    model = small_model(settings)
    off = differences(model, picture(230, 240), context_px=80, inside=True)
    assert max(off) < 1e-3
    with_less = differences(model, picture(64, 64), context_px=0)
    assert min(with_less) > 1e-2


def test_patches_of_three_poolings() -> None:
    settings = REFINED | {"backbone": {"name": "resnet18_narrow", "pooling": 3}, "patch_px": 32}
    model = small_model(settings, only_centres=True)
    assert (model.stride, model.window) == (8, 4)
    assert max(differences(model, picture(30, 41), context_px=16)) < 1e-3


@pytest.mark.parametrize(
    ("patch_px", "zoom", "octaves", "masks"),
    [
        (160, 0, (-2.5, 0.5), 5_203),
        (160, 1, (-2.5, 1.0), 10_144),
        (160, 2, (-2.5, 1.5), 20_034),
        (224, 0, (-2.0, 1.0), 10_081),
        (112, 0, (-3.0, 0.0), None),
    ],
)
def test_the_pyramid_is_the_papers(
    patch_px: int, zoom: Any, octaves: tuple[float, float], masks: int | None
) -> None:
    """The authors' options, DeepMask's, and "~10^4 proposals per image" (paper, section 5.1).

    Counts are those of a 640x480 image.
    """
    scales = DeepMaskInferenceSettings(zoom=zoom).scales(patch_px)
    assert scales[0] == 2 ** octaves[0]
    assert scales[-1] == pytest.approx(2 ** octaves[1])
    steps = [b / a for a, b in itertools.pairwise(scales)]
    assert steps == pytest.approx([2**0.5] * len(steps))
    if masks is not None:
        sizes = [[-(-round(side * s) // 16) + 1 for side in (480, 640)] for s in scales]
        assert sum(rows * columns for rows, columns in sizes) == masks


def test_all_windows_of_all_sizes_are_scored() -> None:
    model = small_model(SMALL)
    settings = DeepMaskInferenceSettings(octaves=(-1, 0.5))
    image = picture(60, 100)
    found = find_windows(model, image, settings, at_most=None)
    for number, scale in enumerate(settings.scales(64)):
        height, width = (round(side * scale) for side in (60, 100))
        cells = found.cells[found.levels == number].tolist()
        rows, columns = -(-height // 16) + 1, -(-width // 16) + 1
        assert sorted(cells) == [[y, x] for y in range(rows) for x in range(columns)]
    assert (found.scores[:-1] >= found.scores[1:]).all()
    # The first cell's window is centred on the image's corner.
    corner = (found.levels == 0) & (found.cells.sum(dim=1) == 0)
    (box,) = boxes_of(model, found)[corner].tolist()
    assert box == pytest.approx([-64, -64, 64, 64])


def test_only_the_best_are_refined_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is that of N windows, of which a step's crops and masks exist at once."""
    model = small_model(REFINED)
    image, settings = picture(90, 120), DeepMaskInferenceSettings(octaves=(-1, 1))
    every = find_windows(model, image, settings, at_most=None)
    counts: list[int] = []
    model.refinement.register_forward_pre_hook(  # type: ignore[union-attr]
        lambda module, args: counts.append(len(args[0]))
    )
    monkeypatch.setattr(dense, "WINDOWS_PER_STEP", 8)
    best = find_windows(model, image, settings, at_most=20)
    assert len(every) > 200
    assert (len(best), best.vectors.shape) == (20, (20, 16))
    assert torch.equal(best.scores, every.scores[:20])
    assert torch.equal(best.cells, every.cells[:20])
    masks = all_masks(model, best, settings)
    assert counts == [8, 8, 4]
    assert torch.allclose(masks, all_masks(model, every.select(slice(20)), settings), atol=1e-5)


def test_equal_scores_keep_the_order_of_sizes() -> None:
    model = small_model(SMALL)
    nn.init.zeros_(model.score_head.predict.weight)
    settings = DeepMaskInferenceSettings(octaves=(-1, 0))
    found = find_windows(model, picture(60, 60), settings, at_most=30)
    places = [
        (level, *cell)
        for level, cell in zip(found.levels.tolist(), found.cells.tolist(), strict=True)
    ]
    assert len(set(found.scores.tolist())) == 1
    assert places == sorted(places)


def test_the_lookup_of_the_code() -> None:
    """Lua's arithmetic, counting from 1, of InferSharpMask.lua:263-266."""
    rows, columns = 3, 4
    found = looked_up(torch.arange(rows * columns), columns, "code").tolist()
    for place in range(1, rows * columns + 1):
        x, y = max(1, place // columns), max(1, place % columns + 1)
        assert found[place - 1] == [x - 1, y - 1]
    own = looked_up(torch.arange(rows * columns), columns, "own").tolist()
    assert own == [[y, x] for y in range(rows) for x in range(columns)]
    # In the middle of the map: a row up, a column right.
    assert found[5] == [own[5][0] - 1, own[5][1] + 1]


def test_the_code_s_lookup_moves_masks_not_scores() -> None:
    model = small_model(REFINED)
    image, settings = picture(60, 90), ONE_SIZE.model_copy(update={"lookup": "code"})
    own = find_windows(model, image, ONE_SIZE, at_most=None)
    code = find_windows(model, image, settings, at_most=None)
    assert torch.equal(own.scores, code.scores)
    cells = [tuple(cell) for cell in own.cells.tolist()]
    masks = dict(zip(cells, all_masks(model, own), strict=True))
    moved = all_masks(model, code, settings)
    for cell, mask in zip(code.cells.tolist(), moved, strict=True):
        assert torch.allclose(mask, masks[tuple(cell)], atol=1e-5)


def test_coarse_masks_of_a_refined_model() -> None:
    """Paper, section 3.3: one network makes both kinds of masks."""
    model = small_model(REFINED)
    settings = ONE_SIZE.model_copy(update={"refine": False})
    found = find_windows(model, picture(40, 40), settings, at_most=5)
    assert found.of_levels[0].skips == []
    assert torch.allclose(all_masks(model, found, settings), model.coarse_masks(found.vectors))


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (20, 30)])
def test_images_smaller_than_a_patch_at_every_size(size: tuple[int, int]) -> None:
    """Nothing special: grey surrounds them, as it surrounds the border of others."""
    model = small_model(REFINED)
    settings = DeepMaskInferenceSettings(octaves=(-2.5, 0.5))
    found = find_windows(model, picture(*size), settings, at_most=10)
    assert len(found) == 10
    assert torch.isfinite(all_masks(model, found, settings)).all()


def test_resizing_is_pillows() -> None:
    image = picture(50, 77).byte()
    for scale in (0.3, 0.707, 1.414):
        found = resize(image, scale)
        pixels = Image.fromarray(image.permute(1, 2, 0).numpy())
        expected = pixels.resize((found.shape[2], found.shape[1]), Image.Resampling.BILINEAR)
        off = found - torch.from_numpy(np.array(expected)).permute(2, 0, 1)
        assert off.abs().max() <= 1.01  # Pillow rounds twice
