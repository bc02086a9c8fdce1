"""The official metrics, each computed by its official tool."""

from collections.abc import Mapping
from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.declarations.finding import load_function
from pointrend_repro.declarations.metric import METRICS, Metric
from pointrend_repro.evaluation.scoring import ReadOnce, Scored


def evaluate_predictions(
    metric: str, ground_truth: str | Path, predictions: str | Path
) -> dict[str, float | None]:
    """Score predictions against the ground truth with an official tool.

    Args:
        metric: one of `declarations/metrics/`, such as `coco_ap` (COCO mask AP) or
            `lvis_ap_star` (AP*: the same predictions on the COCO classes of LVIS v0.5), or one from
            another package.
        ground_truth: annotations in the data set's official format; for Cityscapes, the folder that
            holds `gtFine/`.
        predictions: predictions in the data set's official results format.

    Returns:
        Numbers in percent under the official tool's names, such as `AP` and `AP50`; None if the
        ground truth has no object to which the number applies.

    Raises:
        UserError: the metric is unknown, or a file is faulty.
    """
    return score(metric, Path(ground_truth), Path(predictions), ReadOnce()).values


def score(metric: str, ground_truth: Path, predictions: Path, once: ReadOnce) -> Scored:
    """Score as `evaluate_predictions` does, and also return what was counted for each image.

    The function that the metric names is called with the other arguments. It is imported only now,
    since the tools are slow to load and a metric should not fail because another's tool is missing.

    Args:
        once: holds the files that other metrics of the same predictions have read.

    Raises:
        UserError: as for `evaluate_predictions`, or the function returned other keys than the
            metric declares.
    """
    declared = require_metric(metric)
    scored: Scored = load_function(declared.score)(ground_truth, predictions, once)
    require_declared_keys(declared, scored.values)
    return scored


def require_declared_keys(metric: Metric, values: Mapping[str, object]) -> None:
    """Refuse numbers under other keys than the metric declares.

    Raises:
        UserError: the keys differ.
    """
    if set(values) != set(metric.keys):
        raise UserError(
            f"metric {metric.name!r}: {metric.score} returns {', '.join(values)}, but "
            f"{', '.join(metric.keys)} are declared"
        )


def require_metric(name: str) -> Metric:
    """Return a metric that is computed from predictions.

    Raises:
        UserError: there is no such metric, or it reads no predictions.
    """
    metric = METRICS.find(name)
    if metric.reads is None:
        raise UserError(f"metric {name!r} is counted on a model and reads no predictions")
    return metric
