"""One mask from its coarse prediction to 224x224, with the points of every step."""

from collections.abc import Mapping

from matplotlib.axes import Axes

from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.data.examples import read_record
from pointrend_repro.figures.drawing import (
    PageContent,
    View,
    box_window,
    contrasting_color,
    show_mask,
    view_window,
)
from pointrend_repro.figures.embedding import describe_mask, embed_view
from pointrend_repro.figures.objects import CHOICE, ShownObject, choose_objects
from pointrend_repro.figures.record import SubdivisionStep
from pointrend_repro.modeling.subdivision import Step, subdivide
from pointrend_repro.papers.pointrend.figures.point_head import coarse_and_points
from pointrend_repro.settings.instances import InferenceSettings

MODELS = {"pointrend": ["mask_head.kind=pointrend"]}

_MARGIN = 0.08
_SIDE_PX = 520


def draw(models: Mapping[str, SavedModel], dataset: CocoDataset) -> PageContent:
    """Draw each step's grid with its points, and its mask.

    Raises:
        UserError: there is nothing to show, the image cannot be read, or the model has no point
            head.
    """
    (shown,) = choose_objects(dataset, 1)
    coarse, predict_points = coarse_and_points(models["pointrend"], shown)
    settings = InferenceSettings()
    steps = subdivide(coarse, predict_points, settings)
    image = read_record(shown.record)
    view = view_window(image, box_window(shown.box, _MARGIN, image.shape[:2]), _SIDE_PX)
    color = contrasting_color(view.pixels, view.mask(steps[-1].after, shown.box))
    name = dataset.categories[shown.annotation.label].name
    return PageContent(
        title="One mask, step by step",
        caption=(
            f"One object ({name}) inside the ground truth's box and for its class. Each step "
            "doubles the grid by interpolation and predicts its most uncertain cells (dots) again, "
            f"at most {settings.points_per_step:,} of them. Left the grid before they are "
            "predicted, darker where foreground is likelier; right the mask afterwards. A step "
            "that predicts the whole grid discards those before it: masks are rendered from the "
            f"last such step on. Object chosen {CHOICE}."
        ),
        image_ids=[shown.record.id],
        content={
            "name": name,
            "steps": [_embed(step, view, shown, name, color) for step in steps],
        },
    )


def _embed(step: Step, view: View, shown: ShownObject, name: str, color: str) -> SubdivisionStep:
    side, points = len(step.after), len(step.points)
    mask = view.mask(step.after, shown.box)
    dots = f" with {points} dots on its most uncertain cells" if points else ""
    return SubdivisionStep(
        side=side,
        points=points or side**2,
        grid=embed_view(
            view,
            f"{name.capitalize()}: probabilities on a grid of {side} by {side} cells{dots}.",
            lambda ax: _show_grid(ax, step, view.box(shown.box)),
        ),
        mask=embed_view(
            view,
            describe_mask(name, f"the mask of {side} by {side} cells", mask),
            lambda ax: show_mask(ax, mask, color, 1.3),
        ),
    )


def _show_grid(ax: Axes, step: Step, box: tuple[float, float, float, float]) -> None:
    """Draw probabilities over the box (xyxy in pixels of the view), and the points."""
    x0, y0, x1, y1 = box
    shades = step.before.sigmoid().numpy()
    limits = ax.get_xlim(), ax.get_ylim()
    ax.imshow(shades, cmap="Blues", vmin=0, vmax=1, extent=(x0, x1, y1, y0), aspect="auto")
    x, y = step.points.T.numpy()
    area = 12 if len(x) < 400 else 5
    ax.scatter(x0 + x * (x1 - x0), y0 + y * (y1 - y0), s=area, color="black", linewidths=0)
    ax.set(xlim=limits[0], ylim=limits[1], aspect="auto")
