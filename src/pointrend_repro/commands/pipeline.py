"""The arrows of the pipeline behind the data: from training to the report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointrend_repro.base.damaged import damaged_moved_aside
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import require_other
from pointrend_repro.base.origins import require_model_of
from pointrend_repro.commands.building_on import other_models, require_asked_for
from pointrend_repro.commands.grids import grid_of
from pointrend_repro.commands.options import (
    Changes,
    ConfigDir,
    DataRoot,
    DatasetName,
    Device,
    DeviceName,
    ImageSplit,
    InferenceName,
    LvisAnnotations,
    Output,
    Papers,
    Preset,
    Proposals,
    ReportsDir,
    ResultsDir,
    SplitName,
    Threads,
    VariantName,
    Workers,
    prepare_device,
    results_of,
)
from pointrend_repro.commands.telling import tell_written
from pointrend_repro.config.folder import CONFIG_DIR

if TYPE_CHECKING:
    from pointrend_repro.experiments.grid import Grid


def train(
    preset: Preset,
    dataset: DatasetName,
    variant: VariantName,
    trial: Annotated[int, typer.Option(min=0, help="number of the trial, which is its seed")],
    output: Output,
    start_from: Annotated[
        Path | None, typer.Option(help="model of the training that the variant starts from")
    ] = None,
    proposals: Proposals = None,
    changes: Changes = None,
    data_root: DataRoot = None,
    device: DeviceName = Device.auto,
    threads: Threads = 1,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Train one model, continuing from its newest checkpoint if there is one."""
    from pointrend_repro.data.paths import UserData, data_paths

    require_other(output, filter(None, [start_from, proposals]))
    grid = _grid_of(preset, dataset, variant, config_dir, changes)
    settings = grid.training_settings(dataset, variant)
    if start_from and (settings.start_from is None or settings.start_from.variant is None):
        raise UserError(f"--start-from: variant {variant} does not start from another training")
    require_asked_for(proposals, settings.proposals_from)
    paths = data_paths(dataset, grid.datasets[dataset], UserData(data_root))
    where = prepare_device(device, threads, needs_gpu=grid.preset.needs_gpu)
    from pointrend_repro.pipeline.steps.training import run_training

    experiment = {"preset": preset, "dataset": dataset, "variant": variant, "trial": trial}
    with damaged_moved_aside():
        run_training(
            experiment,
            settings,
            paths,
            output=output,
            device=where,
            start_from=start_from,
            proposals=proposals,
        )
    tell_written(output)


def predict(
    preset: Preset,
    dataset: DatasetName,
    variant: VariantName,
    inference: InferenceName,
    model: Annotated[Path, typer.Option(help="model.safetensors of a training")],
    output: Annotated[Path, typer.Option(help="predictions.json, or the folder of label images")],
    with_model: Annotated[
        list[Path] | None, typer.Option(help="models of an ensemble's other variants, in order")
    ] = None,
    proposals: Proposals = None,
    split: SplitName = ImageSplit.val,
    changes: Changes = None,
    data_root: DataRoot = None,
    device: DeviceName = Device.auto,
    threads: Threads = 1,
    workers: Workers = None,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Predict the validation images with a trained model, continuing with what is finished."""
    from pointrend_repro.data.paths import UserData, data_paths

    require_other(output, filter(None, [model, *(with_model or []), proposals]))
    grid = _grid_of(preset, dataset, variant, config_dir, changes)
    settings = grid.inference_settings(variant, inference)
    paths = data_paths(dataset, grid.datasets[dataset], UserData(data_root))
    with damaged_moved_aside():
        require_model_of(model, {"preset": preset, "dataset": dataset, "variant": variant})
        others = other_models(grid, dataset, settings, with_model or [])
        trained = grid.training_settings(dataset, variant)
        require_asked_for(proposals, trained.proposals_from)
        where = prepare_device(device, threads, needs_gpu=False)
        from pointrend_repro.pipeline.given_boxes import given_file
        from pointrend_repro.pipeline.steps.prediction import run_prediction
        from pointrend_repro.pipeline.steps.sharing import Cores

        run_prediction(
            inference,
            settings,
            paths,
            model=model,
            output=output,
            device=where,
            configured=trained.model,
            others=others,
            boxes=given_file(trained.proposals_from, proposals, settings),
            split=split.value,
            cores=Cores(threads, workers),
        )
    tell_written(output)


def _grid_of(
    preset: str, dataset: str, variant: str, config_dir: Path, changes: list[str] | None
) -> "Grid":
    """Read a preset that has an experiment, whose model all changes have to concern."""
    from pointrend_repro.config.changes import require_of_family
    from pointrend_repro.declarations.family import family_of
    from pointrend_repro.experiments.loading import load_grid_of

    grid = load_grid_of(preset, dataset, variant, config_dir)
    require_of_family(changes or [], family_of(grid.variants[variant]), variant)
    return grid


def collect(
    preset: Preset,
    results_dir: ResultsDir = Path("results"),
    papers: Papers = "",
    lvis_annotations: LvisAnnotations = None,
    changes: Changes = None,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Gather all numbers of a preset into results/<preset>/metrics.csv."""
    from pointrend_repro.experiments.nodes import METRICS_FILE
    from pointrend_repro.reporting.collect import write_metrics

    grid = grid_of(preset, config_dir, papers=papers, lvis_annotations=lvis_annotations)
    folder = results_of(preset, results_dir)
    with damaged_moved_aside():
        write_metrics(grid, folder)
    tell_written(folder / METRICS_FILE)


def report(
    preset: Preset,
    results_dir: ResultsDir = Path("results"),
    reports_dir: ReportsDir = Path("reports"),
    papers: Papers = "",
    lvis_annotations: LvisAnnotations = None,
    changes: Changes = None,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Render the tables and the page of a preset into reports/<preset>/."""
    from pointrend_repro.experiments.nodes import PAGE_FILE
    from pointrend_repro.reporting.report import write_report

    grid = grid_of(preset, config_dir, papers=papers, lvis_annotations=lvis_annotations)
    folder = results_of(preset, results_dir)
    with damaged_moved_aside():
        write_report(grid, folder, reports_dir / preset, lvis_annotations)
    tell_written(reports_dir / preset / PAGE_FILE)
