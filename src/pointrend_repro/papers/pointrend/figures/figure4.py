"""Figure 4: one adaptive subdivision step, from 4x4 to 8x8 cells."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Polygon
from torch import Tensor

from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.data.examples import read_record
from pointrend_repro.figures.drawing import (
    WIDTH_IN,
    Picture,
    box_window,
    new_figure,
    show_view,
    view_window,
)
from pointrend_repro.figures.objects import CHOICE, ShownObject, choose_objects
from pointrend_repro.modeling.points import (
    binary_uncertainty,
    most_uncertain_points,
    regular_grid,
)
from pointrend_repro.papers.pointrend.figures.point_head import coarse_and_points

MODELS = {"pointrend": ["mask_head.kind=pointrend"]}

COARSE_SIDE = 4
FINE_SIDE = 2 * COARSE_SIDE
NUM_POINTS = 16  # a quarter of the fine grid
_SIDE_PX = 480
_OUTLINE_COLOR = "#D55E00"


@dataclass(frozen=True)
class Step:
    """One subdivision step. Grids are logits over a box, points box-normalised.

    Attributes:
        coarse: (4, 4), predicted.
        upsampled: (8, 8), interpolated from `coarse`.
        cells: (16,), the most ambiguous cells of the flattened (8, 8) grid.
        points: (16, 2), their centres.
        refined: (8, 8), `upsampled` with these cells predicted again.
    """

    coarse: Tensor
    upsampled: Tensor
    cells: Tensor
    points: Tensor
    refined: Tensor


def subdivide_once(predict_points: Callable[[Tensor], Tensor]) -> Step:
    """Carry out one step of section 3.1, Inference.

    Args:
        predict_points: maps points (P, 2), box-normalised, to logits (P,).
    """
    grid = regular_grid(COARSE_SIDE, COARSE_SIDE)
    coarse = predict_points(grid).view(1, 1, COARSE_SIDE, COARSE_SIDE)
    upsampled = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)[0]
    cells, points = most_uncertain_points(binary_uncertainty(upsampled), NUM_POINTS)
    predicted = predict_points(points[0])[None]
    refined = upsampled.flatten(1).scatter(1, cells, predicted).view_as(upsampled)
    return Step(coarse[0, 0], upsampled[0], cells[0], points[0], refined[0])


def draw(models: Mapping[str, SavedModel], dataset: CocoDataset) -> Picture:
    """Draw the object, the coarse grid, the fine grid with the chosen points, and the result.

    Raises:
        UserError: there is nothing to show, the image cannot be read, or the model has no point
            head.
    """
    (shown,) = choose_objects(dataset, 1)
    _, predict_points = coarse_and_points(models["pointrend"], shown)
    step = subdivide_once(predict_points)
    image = read_record(shown.record)
    view = view_window(image, box_window(shown.box, 0, image.shape[:2]), _SIDE_PX)
    figure = new_figure(0.3 + 0.19 * WIDTH_IN)
    photo, coarse, upsampled, refined = figure.subplots(1, 4, gridspec_kw={"wspace": 0.32})
    show_view(photo, view)
    photo.set_title("object")
    _show_grid(coarse, step.coarse, f"{COARSE_SIDE}×{COARSE_SIDE}, predicted")
    _show_grid(upsampled, step.upsampled, f"{FINE_SIDE}×{FINE_SIDE}, interpolated")
    x, y = step.points.T.numpy()
    upsampled.scatter(x, y, s=16, color="black", edgecolors="white", linewidths=0.5, zorder=3)
    shades = _show_grid(refined, step.refined, f"{FINE_SIDE}×{FINE_SIDE}, refined")
    for ax in (coarse, upsampled, refined):
        _show_outline(ax, shown)
    photo.set_aspect(view.pixels.shape[1] / view.pixels.shape[0])  # the box as a square, as there
    _arrow_after(coarse, "2×")
    _arrow_after(upsampled, "point\nprediction")
    bar = refined.inset_axes((1.06, 0, 0.05, 1))
    figure.colorbar(shades, cax=bar, label="probability of foreground", ticks=[0, 0.5, 1])
    return _picture(figure, shown, dataset)


def _show_grid(ax: Axes, logits: Tensor, title: str) -> AxesImage:
    """Draw a grid of logits (S, S) as probabilities; the axes are box-normalised."""
    side = len(logits)
    shades = ax.imshow(logits.sigmoid().numpy(), cmap="Blues", vmin=0, vmax=1, extent=(0, 1, 1, 0))
    lines = [i / side for i in range(1, side)]
    ax.vlines(lines, 0, 1, color="0.6", linewidth=0.4)
    ax.hlines(lines, 0, 1, color="0.6", linewidth=0.4)
    ax.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(1, 0), title=title)
    return shades


def _show_outline(ax: Axes, shown: ShownObject) -> None:
    x0, y0, x1, y1 = shown.box
    points = (shown.outline - [x0, y0]) / [x1 - x0, y1 - y0]
    ax.add_patch(Polygon(points, fill=False, edgecolor=_OUTLINE_COLOR, linewidth=0.9))


def _arrow_after(ax: Axes, text: str) -> None:
    """Draw an arrow from one panel to the next, labelled with what happens between them."""
    arrow = {"arrowstyle": "-|>", "color": "black", "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0}
    line = ax.annotate("", (1.41, 0.5), (1.06, 0.5), xycoords="axes fraction", arrowprops=arrow)
    word = ax.text(1.23, 0.53, text, transform=ax.transAxes, ha="center", va="bottom", fontsize=6)
    for artist in (line, word):
        artist.set_in_layout(False)
    ax.set_zorder(1)  # above the next panel's margin


def _picture(figure: Figure, shown: ShownObject, dataset: CocoDataset) -> Picture:
    name = dataset.categories[shown.annotation.label].name
    return Picture(
        figure,
        title="Figure 4: One adaptive subdivision step",
        caption=(
            f"One step on a real object ({name}), inside the ground truth's box and for its "
            f"class. The point head predicts a {COARSE_SIDE}×{COARSE_SIDE} grid, which is "
            f"interpolated bilinearly to {FINE_SIDE}×{FINE_SIDE}; the N = {NUM_POINTS} most "
            "ambiguous cells (dots) are predicted again. Blue is the probability of foreground, "
            "the line is the annotated outline; the box is drawn as a square. 4×4 is for "
            "illustration, as in the paper's toy example: masks are rendered from 7×7. Object "
            f"chosen {CHOICE}."
        ),
        alternative_text=(
            f"Four panels: a picture of the object ({name}); a {COARSE_SIDE} by {COARSE_SIDE} grid "
            f"of probabilities; the same as {FINE_SIDE} by {FINE_SIDE} cells with {NUM_POINTS} "
            "dots where it is nearest to one half; the grid with the dotted cells predicted again."
        ),
        image_ids=[shown.record.id],
    )
