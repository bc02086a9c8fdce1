"""Figure 9: PointRend's inference on a whole image, step by step."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from torch import Tensor

from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.data.examples import inference_image, read_record
from pointrend_repro.figures.busy import BUSY_CHOICE, choose_busy
from pointrend_repro.figures.drawing import WIDTH_IN, Picture, new_figure
from pointrend_repro.figures.streets import add_legend, colored
from pointrend_repro.modeling.semantic.point_refine import RefinementStep
from pointrend_repro.predictions.by_default import default_inference
from pointrend_repro.settings.semantic import SemanticInferenceSettings

MODELS = {"deeplab_pointrend": ["pointrend"]}

_COLUMNS = 2


def draw(models: Mapping[str, SavedModel], dataset: CocoDataset) -> Picture:
    """Draw a street, the coarse label map, and the label map and points of each step.

    Raises:
        UserError: there is nothing to show, or the image cannot be read.
    """
    saved = models["deeplab_pointrend"]
    (record,) = choose_busy(dataset, 1)
    image = inference_image(read_record(record), saved.input)
    settings = default_inference(saved)
    assert isinstance(settings, SemanticInferenceSettings)
    steps = saved.model.refinement([image], settings)

    rows = -(-(1 + len(steps)) // _COLUMNS)
    figure = new_figure(rows * (0.2 + WIDTH_IN / _COLUMNS * image.shape[1] / image.shape[2]))
    axes = list(figure.subplots(rows, _COLUMNS, squeeze=False).flat)
    for ax in axes:
        ax.set_axis_off()
    axes[0].imshow(image.permute(1, 2, 0).numpy())
    axes[0].set_title("image")
    for ax, step in zip(axes[1:], steps, strict=False):
        _show_step(ax, step, saved, image)
    labels = {int(k) for step in steps for k in step.logits[0].argmax(dim=0).unique()}
    # The panel that is left over, if one is, holds the legend.
    add_legend(figure, labels, axes[1 + len(steps)] if 1 + len(steps) < len(axes) else None)
    return Picture(
        figure,
        title="Figure 9: PointRend inference for semantic segmentation",
        caption=(
            "The most likely class of each cell at the resolution of each step, without bilinear "
            "interpolation: the coarse prediction of DeepLabV3 at output stride 16, then one panel "
            f"a subdivision step with the at most {settings.points_per_step} points that the step "
            f"predicted again. {_left_out(steps)}Shown is the first of {BUSY_CHOICE}."
        ),
        alternative_text=(
            f"A street scene and {len(steps)} label maps of it in colours, each finer than "
            "the one before; dots mark the points, most of them where classes meet."
        ),
        image_ids=[record.id],
    )


def _left_out(steps: list[RefinementStep]) -> str:
    """Say why steps are left out, if any are: the first panel is then not of twice the cells."""
    heights = [step.logits.shape[2] for step in steps[:2]]
    if heights[-1] <= 2 * heights[0]:
        return ""
    return (
        "The first step shown is the last that predicts a whole grid, which discards those before "
        "it. "
    )


def _show_step(ax: Axes, step: RefinementStep, saved: SavedModel, image: Tensor) -> None:
    """Show a step's label map, cropped to the part of the padded input that the image covers."""
    height, width = step.logits.shape[2:]
    padded_height, padded_width = saved.model.backbone.padded_size([image])
    labels = step.logits[0].argmax(dim=0).byte().numpy()
    ax.imshow(colored(labels), extent=(0, 1, 1, 0), aspect="auto")
    points = step.points[0].numpy()
    ax.scatter(points[:, 0], points[:, 1], s=0.15, c="black", linewidths=0)
    ax.set(xlim=(0, image.shape[2] / padded_width), ylim=(image.shape[1] / padded_height, 0))
    ax.set_box_aspect(image.shape[1] / image.shape[2])
    ax.set_title(f"{height}×{width}" + (f", {len(points)} points" if len(points) else ", coarse"))
