"""Figure 6: people with the masks and the keypoints that one model finds."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import CocoDataset, ImageRecord
from pointrend_repro.data.examples import read_record
from pointrend_repro.data.structures import Detections
from pointrend_repro.figures.detections import by_one_rule, show_detections
from pointrend_repro.figures.drawing import (
    COLORS,
    WIDTH_IN,
    Picture,
    View,
    new_figure,
    view_window,
)
from pointrend_repro.figures.skeletons import show_skeleton
from pointrend_repro.predictions.instances import detect
from pointrend_repro.predictions.skeletons import MIN_SCORE
from pointrend_repro.settings.instances import InferenceSettings

MODELS = {"people": ["keypoint_head", "mask_head"]}

_COLUMNS = 3
_SIDE_PX = 900
# Of an image's height: people of whom keypoints can be seen.
_MIN_HEIGHT = 0.25


def draw(models: Mapping[str, SavedModel], dataset: CocoDataset, *, num_images: int = 6) -> Picture:
    """Draw images with every person found in them.

    Raises:
        UserError: no image has annotated keypoints, or one cannot be read.
    """
    saved = models["people"]
    records = choose_images(dataset, num_images)
    views, found = [], []
    for record in records:
        image = read_record(record)
        views.append(view_window(image, (0, 0, record.width, record.height), _SIDE_PX))
        found.append([detect(saved, image, InferenceSettings())])
    shown, rule = by_one_rule(found)
    detections = [each for (each,) in shown]
    min_score, keypoint_rule = _keypoint_rule(detections)

    figure, axes = _panels(views)
    for ax, view, each in zip(axes, views, detections, strict=False):
        _show_people(ax, view, each, saved, min_score)
    return Picture(
        figure,
        title="Figure 6: Keypoints and masks of people",
        caption=(
            f"Masks and keypoints that one Mask R-CNN finds in validation images; {rule} "
            f"{keypoint_rule} The images are those with the most annotated people, by the ground "
            f"truth alone, who fill at least {_MIN_HEIGHT:.0%} of the image's height and have "
            "labelled keypoints."
        ),
        alternative_text=(
            f"{len(views)} photographs; each person found is tinted in a colour and has a stick "
            "figure in it."
        ),
        image_ids=[record.id for record in records],
    )


def _panels(views: list[View]) -> tuple[Figure, list[Axes]]:
    """Return a figure with a panel for each view, in rows as high as their highest view."""
    columns = min(_COLUMNS, len(views))
    shapes = [view.pixels.shape[0] / view.pixels.shape[1] for view in views]
    heights = [max(shapes[i : i + columns]) for i in range(0, len(shapes), columns)]
    figure = new_figure(sum(heights) * WIDTH_IN / columns)
    panels = figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights)
    for ax in panels.flat:
        ax.set_axis_off()
    return figure, list(panels.flat)


def choose_images(dataset: CocoDataset, count: int) -> list[ImageRecord]:
    """Return up to `count` images, those with the most large people, the widest image first.

    Raises:
        UserError: no image has an object with labelled keypoints.
    """
    order = sorted(dataset.images, key=lambda record: (-_people(record), record.id))
    chosen = [record for record in order[:count] if _people(record)]
    if not chosen:
        raise UserError(
            "no validation image has an object with labelled keypoints: there is nothing to draw "
            "this figure of; annotate some, or take it off the preset"
        )
    return sorted(chosen, key=lambda record: record.height / record.width)


def _people(record: ImageRecord) -> float:
    """Count an image's large people; an image with small ones only comes after all others."""
    heights = [
        a.box[3] - a.box[1]
        for a in record.annotations
        if a.keypoints is not None and not a.is_crowd
    ]
    large = sum(height >= _MIN_HEIGHT * record.height for height in heights)
    return large or 0.5 * bool(heights)


def _keypoint_rule(detections: list[Detections]) -> tuple[float, str]:
    """Choose the keypoints to draw by one rule for the whole figure: its lowest score, in words."""
    scores = [each.keypoints[..., 2] for each in detections if each.keypoints is not None]
    if any(bool((of_image >= MIN_SCORE).any()) for of_image in scores):
        return MIN_SCORE, f"Of these, keypoints with a score of at least {MIN_SCORE} are drawn."
    return 0.0, f"All of their keypoints are drawn, since none has a score of {MIN_SCORE}."


def _show_people(
    ax: Axes, view: View, found: Detections, saved: SavedModel, min_score: float
) -> None:
    show_detections(ax, view, found, list(range(len(found.boxes))))
    assert found.keypoints is not None
    assert saved.keypoints is not None
    for i in reversed(range(len(found.boxes))):
        show_skeleton(
            ax,
            view,
            found.keypoints[i].numpy(),
            saved.keypoints.skeleton,
            COLORS[i % len(COLORS)],
            min_score=min_score,
        )
