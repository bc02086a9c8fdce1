"""The arrows of the pipeline that score predictions and count models."""

from pathlib import Path
from typing import Annotated

import typer

from pointrend_repro.base.damaged import damaged_moved_aside
from pointrend_repro.base.errors import UserError
from pointrend_repro.commands.options import (
    ConfigDir,
    Device,
    DeviceName,
    InferenceName,
    Output,
    Preset,
    Threads,
    VariantName,
    prepare_device,
)
from pointrend_repro.commands.telling import tell_written
from pointrend_repro.config.folder import CONFIG_DIR


def evaluate(
    metric: Annotated[str, typer.Argument(help="coco_ap, lvis_ap_star, cityscapes_ap, ...")],
    ground_truth: Annotated[Path, typer.Option(help="official annotations, or Cityscapes' folder")],
    predictions: Annotated[Path, typer.Option(help="predictions.json or labels/ of a prediction")],
    output: Output,
    resamples: Annotated[
        int, typer.Option(min=0, help="number of resamples of the images, for the claims")
    ] = 0,
) -> None:
    """Score predictions with the official tool of a metric."""
    from pointrend_repro.pipeline.steps.evaluation import run_evaluation

    with damaged_moved_aside():
        run_evaluation(metric, ground_truth, predictions, output=output, resamples=resamples)
    tell_written(output)


def evaluate_all(
    metrics: Annotated[
        list[str],
        typer.Argument(metavar="METRIC=GROUND_TRUTH...", help="such as coco_ap=annotations.json"),
    ],
    predictions: Annotated[Path, typer.Option(help="predictions.json or labels/ of a prediction")],
    output: Annotated[Path, typer.Option(help="folder for a JSON file and a log per metric")],
    resamples: Annotated[
        int, typer.Option(min=0, help="number of resamples of the images, for the claims")
    ] = 0,
) -> None:
    """Score predictions by several metrics at once, each as `evaluate` does."""
    from pointrend_repro.pipeline.steps.evaluation import run_evaluations

    ground_truths = {}
    for pair in metrics:
        metric, given, ground_truth = pair.partition("=")
        if not given:
            raise UserError(f"{pair}: names no ground truth; write {metric}=FILE")
        ground_truths[metric] = Path(ground_truth)
    with damaged_moved_aside():
        run_evaluations(ground_truths, predictions, folder=output, resamples=resamples)
    tell_written(output)


def cost(
    preset: Preset,
    variant: VariantName,
    inference: InferenceName,
    output: Output,
    config_dir: ConfigDir = CONFIG_DIR,
    metric: Annotated[
        str, typer.Option(help="a metric that counts instead of reading predictions")
    ] = ("mask_head_cost"),
    device: DeviceName = Device.auto,
    threads: Threads = 1,
) -> None:
    """Count multiply-adds and activations of a variant's mask head, at the paper's widths.

    A metric that is measured, such as inference_time, takes the preset's widths and the device.
    """
    from pointrend_repro.config.finding import find
    from pointrend_repro.config.reading import (
        as_measured,
        load_preset,
        load_variant,
        resolve_inference,
    )
    from pointrend_repro.config.variants import kind_of
    from pointrend_repro.declarations.metric import METRICS
    from pointrend_repro.pipeline.steps.cost import run_cost

    config = load_variant(variant, config_dir)
    where = find("variant", variant, config_dir).shown
    kind, declared = kind_of(config), METRICS.find(metric)
    if declared.counts != kind.name:
        raise UserError(f"{where}: metric {metric} counts nothing of {kind.models}")
    if declared.families and config.family not in declared.families:
        raise UserError(f"{where}: metric {metric} counts nothing of family {config.family}")
    experiment = {"preset": preset, "variant": variant, "inference": inference}
    if not declared.measured:
        settings = resolve_inference(config, inference, where=where)
        run_cost(experiment, metric, config.model, settings, output=output)
        tell_written(output)
        return
    over = load_preset(preset, config_dir)
    settings = resolve_inference(config, inference, where=where, preset=over)
    model, size = as_measured(over, config, where=where)
    on = prepare_device(device, threads, needs_gpu=False)
    run_cost(experiment, metric, model, settings, output=output, size=size, device=on)
    tell_written(output)
