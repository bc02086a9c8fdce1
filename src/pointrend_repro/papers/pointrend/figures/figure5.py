"""Figure 5: training points by four strategies, on the same coarse prediction."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor

from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.data.examples import read_record
from pointrend_repro.figures.drawing import (
    WIDTH_IN,
    Box,
    Picture,
    box_window,
    new_figure,
    show_view,
    view_window,
)
from pointrend_repro.figures.objects import CHOICE, choose_objects
from pointrend_repro.modeling.points import (
    binary_uncertainty,
    point_sample,
    regular_grid,
    sample_training_points,
)
from pointrend_repro.papers.pointrend.figures.point_head import coarse_and_points

MODELS = {"pointrend": ["mask_head.kind=pointrend"]}

NUM_POINTS = 14 * 14
_SEED = 0
_MARGIN = 0.06
_SIDE_PX = 480
_SHADES = matplotlib.colormaps["Blues"]
_DISPLAY_CELLS = 200  # cells per side at which the coarse prediction is drawn, interpolated


@dataclass(frozen=True)
class Strategy:
    """A way to choose training points: `k` and `beta` of section 3.1; None means a regular grid."""

    title: str
    k: float | None = None
    beta: float | None = None


# As printed in Figure 5; Table 4 has the heavy bias at beta = 1.0.
STRATEGIES = (
    Strategy("a) regular grid"),
    Strategy("b) uniform\nk = 1, β = 0.0", 1.0, 0.0),
    Strategy("c) mildly biased\nk = 3, β = 0.75", 3.0, 0.75),
    Strategy("d) heavily biased\nk = 10, β = 0.75", 10.0, 0.75),
)


def choose_points(strategy: Strategy, coarse: Tensor) -> Tensor:
    """Choose a box's training points on its coarse logits (M0, M0).

    Returns:
        (196, 2), box-normalised. Random ones are the same in every call.
    """
    if strategy.k is None or strategy.beta is None:
        side = math.isqrt(NUM_POINTS)
        return regular_grid(side, side)
    return sample_training_points(
        lambda points: binary_uncertainty(point_sample(coarse[None, None], points))[:, 0],
        1,
        NUM_POINTS,
        oversample_ratio=strategy.k,
        importance_ratio=strategy.beta,
        generator=torch.Generator().manual_seed(_SEED),
    )[0]


def draw(models: Mapping[str, SavedModel], dataset: CocoDataset) -> Picture:
    """Draw one panel per strategy.

    Raises:
        UserError: there is nothing to show, the image cannot be read, or the model has no coarse
            head.
    """
    (shown,) = choose_objects(dataset, 1)
    coarse, _ = coarse_and_points(models["pointrend"], shown)
    image = read_record(shown.record)
    view = view_window(image, box_window(shown.box, _MARGIN, image.shape[:2]), _SIDE_PX)
    x0, y0, x1, y1 = view.box(shown.box)

    height, width = view.pixels.shape[:2]
    figure = new_figure(0.4 + WIDTH_IN / len(STRATEGIES) * height / width)
    for ax, strategy in zip(figure.subplots(1, len(STRATEGIES)), STRATEGIES, strict=True):
        show_view(ax, view)
        _show_coarse(ax, coarse, (x0, y0, x1, y1))
        points = choose_points(strategy, coarse).numpy()
        x, y = x0 + points[:, 0] * (x1 - x0), y0 + points[:, 1] * (y1 - y0)
        ax.scatter(x, y, s=5, color="black", edgecolors="white", linewidths=0.35, zorder=3)
        ax.set_title(strategy.title)
    name = dataset.categories[shown.annotation.label].name
    return Picture(
        figure,
        title="Figure 5: Point sampling during training",
        caption=(
            f"{NUM_POINTS} = 14² points by four strategies, on the same coarse prediction of one "
            f"object ({name}) by the trained model: tinted as foreground is likelier, with the "
            "decision boundary as a line, inside the ground truth's box (frame) and for its "
            "class. k and β as Figure 5 of the paper prints them; its Table 4 has the heavy bias "
            "at β = 1.0. The coarse prediction is interpolated with zeros beyond the box, so "
            f"points near the frame can count as uncertain too. Object chosen {CHOICE}."
        ),
        alternative_text=(
            f"Four pictures of the same object ({name}) with its coarse mask and {NUM_POINTS} "
            "dots: on a regular grid; spread at random; mostly near the mask's boundary; crowded "
            "closely along the boundary."
        ),
        image_ids=[shown.record.id],
    )


def _show_coarse(ax: Axes, coarse: Tensor, box: Box) -> None:
    """Whiten the background, tint the foreground, and draw the line between them."""
    x0, y0, x1, y1 = box
    grid = regular_grid(_DISPLAY_CELLS, _DISPLAY_CELLS)[None]
    logits = point_sample(coarse[None, None], grid).view(_DISPLAY_CELLS, _DISPLAY_CELLS)
    probability = logits.sigmoid().numpy()
    shade = np.full((*probability.shape, 4), 0.75)
    shade[..., :3] = _SHADES(probability)[..., :3]
    ax.imshow(shade, extent=(x0, x1, y1, y0))
    cells = (np.arange(_DISPLAY_CELLS) + 0.5) / _DISPLAY_CELLS
    x, y = x0 + cells * (x1 - x0), y0 + cells * (y1 - y0)
    ax.contour(x, y, probability, levels=[0.5], colors=["black"], linewidths=0.7)
    ax.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, linewidth=0.5))
