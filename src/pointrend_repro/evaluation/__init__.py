"""The official metrics, each computed by its official tool."""

import importlib
from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.evaluation.scoring import ReadOnce, Scored

# Metric -> module of this package and function in it; imported on use, since the tools are slow
# to load and a metric should not fail for want of another's tool.
_METRICS = {
    "boundary_ap": ("boundary_ap", "score_boundary_ap"),
    "cityscapes_ap": ("cityscapes_ap", "score_cityscapes_ap"),
    "coco_ap": ("coco_ap", "score_coco_ap"),
    "lvis_ap_star": ("lvis_ap", "score_lvis_ap_star"),
    "cityscapes_miou": ("semantic_iou", "score_cityscapes_miou"),
    "trimap_miou": ("trimap", "score_trimap_miou"),
}


def evaluate_predictions(
    metric: str, ground_truth: str | Path, predictions: str | Path
) -> dict[str, float | None]:
    """Score predictions against the ground truth with an official tool.

    Args:
        metric: `coco_ap` (COCO mask AP) or `lvis_ap_star` (AP*: the same predictions on the COCO
            classes of LVIS v0.5); `cityscapes_ap` (mask AP of its instances);
            `cityscapes_miou` (mean IoU) or `trimap_miou` (mean IoU near the borders of classes,
            docs/trimap.md).
        ground_truth: annotations in the data set's official format; of Cityscapes, the folder that
            holds `gtFine/`.
        predictions: predictions in the data set's official results format.

    Returns:
        Numbers in percent under the official tool's names, such as `AP` and `AP50`; None where
        the ground truth has no object that the number speaks of.

    Raises:
        UserError: the metric is unknown, or a file is faulty.
    """
    return score(metric, Path(ground_truth), Path(predictions), ReadOnce()).values


def score(metric: str, ground_truth: Path, predictions: Path, once: ReadOnce) -> Scored:
    """Score as `evaluate_predictions` does, and return what was found image by image as well.

    Args:
        once: has what other metrics of the same predictions have read.

    Raises:
        UserError: as `evaluate_predictions`.
    """
    require_metric(metric)
    module, function = _METRICS[metric]
    function_of_metric = getattr(importlib.import_module(f"{__name__}.{module}"), function)
    scored: Scored = function_of_metric(ground_truth, predictions, once)
    return scored


def require_metric(metric: str) -> None:
    """Refuse a metric that there is not.

    Raises:
        UserError: there is none of this name.
    """
    if metric not in _METRICS:
        raise UserError(f"there is no metric {metric!r}; there are: {', '.join(_METRICS)}")
