"""Figures 2 and 9: the masks of DeepMask beside those of SharpMask."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.data.examples import read_record
from pointrend_repro.figures.drawing import Picture
from pointrend_repro.figures.objects import ShownObject
from pointrend_repro.papers.sharpmask.figures.closest import (
    choose_shown,
    closest,
    image_grid,
    show_closest,
)

MODELS = {"deepmask": ["patch_px"], "sharpmask": ["refinement"]}

_NAMES = {"deepmask": "DeepMask", "sharpmask": "SharpMask"}
_PAIRS_A_ROW = 2


def draw(
    models: Mapping[str, SavedModel],
    dataset: CocoDataset,
    *,
    number: int = 2,
    images: int = 4,
    after: int = 0,
) -> Picture:
    """Draw pairs of an image with the closest proposals of both models.

    Args:
        number: of the paper's figure.
        images: how many.
        after: how many of the images that would come first are left to another figure.

    Raises:
        UserError: there is nothing to show, or an image cannot be read.
    """
    shown, choice = choose_shown(dataset, images, after)
    panels = len(_NAMES)
    figure, axes = image_grid(shown, columns=_PAIRS_A_ROW * panels, panels_an_image=panels)
    for ax, title in zip(axes[0], list(_NAMES.values()) * _PAIRS_A_ROW, strict=True):
        ax.set_title(title)
    pairs = axes.reshape(-1, len(_NAMES))
    ious = [_show_pair(pair, models, each) for pair, each in zip(pairs, shown, strict=False)]
    means = {part: np.mean([iou for each in ious for iou in each[part]]) for part in _NAMES}
    return Picture(
        figure,
        title=f"Figure {number}: DeepMask and SharpMask",
        caption=(
            "The same images with the proposals of DeepMask (left of each pair) and of SharpMask "
            "(right), which share trunk and scores: for each annotated object, that of 1000 whose "
            "mask overlaps it most. Objects without one of IoU above 0.5 are red, with their own "
            f"mask. The mean IoU is {means['deepmask']:.2f} and {means['sharpmask']:.2f}. Images "
            f"lie around an object chosen {choice}."
        ),
        alternative_text=(
            f"{len(shown)} pairs of the same photograph with objects tinted and outlined: left by "
            "DeepMask, right by SharpMask."
        ),
        image_ids=[each.record.id for each in shown],
    )


def _show_pair(
    pair: NDArray[Any], models: Mapping[str, SavedModel], shown: ShownObject
) -> dict[str, list[float]]:
    """Draw an image with each model's masks, and return their IoU with the objects."""
    image = read_record(shown.record)
    found = {part: closest(models[part], image, shown.record) for part in _NAMES}
    for ax, of_model in zip(pair, found.values(), strict=True):
        show_closest(ax, image, of_model)
    return {part: [one.iou for one in of_model] for part, of_model in found.items()}
