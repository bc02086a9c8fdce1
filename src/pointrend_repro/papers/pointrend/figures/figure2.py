"""Figure 2: what Mask R-CNN finds with its standard mask head, beside PointRend."""

from collections.abc import Mapping

from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.data.examples import read_record
from pointrend_repro.figures.detections import (
    by_one_rule,
    corresponding_objects,
    in_view,
    show_detections,
)
from pointrend_repro.figures.drawing import (
    WIDTH_IN,
    Picture,
    new_figure,
    square_window,
    view_window,
)
from pointrend_repro.figures.objects import CHOICE, choose_objects
from pointrend_repro.predictions.instances import detect
from pointrend_repro.settings.instances import InferenceSettings

MODELS = {"baseline": ["mask_head"], "pointrend": ["mask_head"]}

_NUM_PAIRS = 4
_PAIRS_A_ROW = 2
_MARGIN = 0.3
_SIDE_PX = 560
_HEADS = {"baseline": "4× conv, 28×28", "pointrend": "PointRend, 224×224"}


def draw(models: Mapping[str, SavedModel], dataset: CocoDataset) -> Picture:
    """Draw pairs of the same window of an image, the 4x conv head left and PointRend right.

    Raises:
        UserError: there is nothing to show, or an image cannot be read.
    """
    views, found = [], []
    for shown in choose_objects(dataset, _NUM_PAIRS):
        image = read_record(shown.record)
        view = view_window(image, square_window(shown.box, _MARGIN, image.shape[:2]), _SIDE_PX)
        views.append((shown.record.id, view))
        of_models = [detect(models[part], image, InferenceSettings()) for part in _HEADS]
        found.append([in_view(detections, view) for detections in of_models])
    selected, rule = by_one_rule(found)

    rows = -(-len(views) // _PAIRS_A_ROW)
    columns = min(len(views), _PAIRS_A_ROW) * len(_HEADS)
    figure = new_figure(0.2 + rows * WIDTH_IN / columns)
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat[len(views) * len(_HEADS) :]:
        ax.set_axis_off()
    for ax, title in zip(axes[0], list(_HEADS.values()) * _PAIRS_A_ROW, strict=False):
        ax.set_title(title)
    pairs = axes.reshape(-1, len(_HEADS))
    names = [category.name for category in dataset.categories]
    for pair, (_, view), (left, right) in zip(pairs, views, selected, strict=False):
        own = list(range(len(left.boxes)))
        show_detections(pair[0], view, left, own, names)
        same = corresponding_objects(right, left)
        show_detections(pair[1], view, right, same, names)
    return Picture(
        figure,
        title="Figure 2: Result pairs, standard mask head and PointRend",
        caption=(
            "The same windows of validation images, segmented by Mask R-CNN with its standard mask "
            "head (left of each pair) and with PointRend (right), two models that were trained "
            f"separately; {rule} An object that both find, as the same class, has the same colour "
            "in both; class and score are written on it. Masks are rendered at print resolution. "
            f"Each window shows an object chosen {CHOICE}."
        ),
        alternative_text=(
            f"{len(views)} pairs of pictures of the same scenes with the found objects tinted and "
            "outlined: left with masks of 28 by 28, right with masks of 224 by 224."
        ),
        image_ids=[image_id for image_id, _ in views],
    )
