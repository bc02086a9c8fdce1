"""From predictions to numbers: one metric, or all metrics of a prediction at once."""

import sys
import traceback
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pointrend_repro.base.errors import UserError, printable_line
from pointrend_repro.base.files import remove_leftovers, require_other
from pointrend_repro.base.origins import Recorded, origin_path, require_as_recorded
from pointrend_repro.base.provenance import cpu_name, start_record
from pointrend_repro.base.standard_output import standard_output_to
from pointrend_repro.data.fingerprint import scored_data
from pointrend_repro.evaluation import require_metric, score
from pointrend_repro.evaluation.bootstrap import image_counts, resample
from pointrend_repro.evaluation.scoring import ReadOnce
from pointrend_repro.pipeline.steps.metric_files import write_result


def run_evaluation(
    metric: str,
    ground_truth: Path,
    predictions: Path,
    *,
    output: Path,
    resamples: int = 0,
    once: ReadOnce | None = None,
) -> None:
    """Score predictions and write the numbers with their full origin.

    Args:
        resamples: how many times to score resampled images as well (evaluation/bootstrap/).
        once: the files that other metrics of the same predictions have read.

    Raises:
        DamagedError: the predictions do not match their record.
        UserError: the metric is unknown, a file is faulty, or the output is one of them.
    """
    require_other(output, [ground_truth, predictions])
    declared = require_metric(metric)
    once = once or ReadOnce([metric])
    origin, predictions_digest = _predicted(predictions, once)
    remove_leftovers(output.parent, output.name)
    # No scorer needs torch, whose import takes longer than most of them.
    settings = {"metric": metric, **declared.settings}
    finish = start_record(settings=settings, seed=None, device=f"cpu ({cpu_name()})")
    scored = score(metric, ground_truth, predictions, once)
    counts = image_counts(metric, scored) if resamples else None
    resampled = {"resampled": resample(counts, scored.values, resamples)} if counts else {}
    assert declared.truth is not None  # otherwise it would read no predictions
    units = {"units": declared.other_units} if declared.other_units else {}
    record = finish() | {
        "data": scored_data(declared.truth, ground_truth),
        "input_digest": predictions_digest,
    }
    record["versions"] |= declared.outside_files()
    told = {"curves": scored.curves, "by_class": scored.by_class}
    more = {key: value for key, value in told.items() if value is not None}
    result = {"metric": metric, "values": scored.values, **units, **more, "origin": origin}
    result |= resampled
    write_result(output, result, record)


def run_evaluations(
    ground_truths: Mapping[str, Path], predictions: Path, *, folder: Path, resamples: int = 0
) -> None:
    """Score predictions by several metrics, each file read once.

    Each metric's result goes to `<metric>.json`, and its output to `<metric>.log`. A metric that
    fails does not keep the others from being scored.

    Args:
        ground_truths: by metric, in the order in which to score.
        folder: gets the files.

    Raises:
        DamagedError: the predictions do not match their record.
        UserError: a metric is unknown or, once the others are written, one has failed.
    """
    for metric in ground_truths:
        require_metric(metric)
    once = ReadOnce(ground_truths)
    score_once = partial(run_evaluation, predictions=predictions, resamples=resamples, once=once)
    folder.mkdir(parents=True, exist_ok=True)
    logs = {metric: folder / f"{metric}.log" for metric in ground_truths}
    for log in logs.values():
        log.write_text("")  # an older one would be of another run
    _predicted(predictions, once)
    failed = {}
    for metric, ground_truth in ground_truths.items():
        with standard_output_to(logs[metric]):
            try:
                score_once(metric, ground_truth, output=folder / f"{metric}.json")
            except UserError as error:
                print(f"pointrend-repro: error: {error}", file=sys.stderr)
                failed[metric] = str(error)
            except Exception as error:
                traceback.print_exc()
                failed[metric] = f"{type(error).__name__}: {printable_line(error)}"
    if failed:
        # Here, too: of several logs, Snakemake shows none that comes after an empty one.
        told = "; ".join(f"{metric}: {why}; see {logs[metric]}" for metric, why in failed.items())
        raise UserError(f"{predictions}: could not be scored by {told}")


def _predicted(predictions: Path, once: ReadOnce) -> Recorded:
    if predictions.exists() and not origin_path(predictions).exists():
        raise UserError(
            f"{predictions}: has no record beside it ({origin_path(predictions).name}), as those "
            "of other programs have none; score it with pointrend_repro.evaluate_predictions"
        )
    recorded: Recorded = once(require_as_recorded, predictions, "predict")
    return recorded
