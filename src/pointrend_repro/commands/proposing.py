"""The arrow of the pipeline that begins with the images alone."""

from pathlib import Path
from typing import Annotated

import typer

from pointrend_repro.base.errors import UserError
from pointrend_repro.commands.options import (
    ConfigDir,
    DataRoot,
    DatasetName,
    ImageSplit,
    InferenceName,
    Preset,
    SplitName,
    VariantName,
)
from pointrend_repro.commands.telling import tell_written
from pointrend_repro.config.folder import CONFIG_DIR


def propose(
    preset: Preset,
    dataset: DatasetName,
    variant: VariantName,
    inference: InferenceName,
    output: Annotated[Path, typer.Option(help="proposals.json")],
    split: SplitName = ImageSplit.val,
    data_root: DataRoot = None,
    processes: Annotated[
        int, typer.Option(min=1, help="how many images at a time, on a CPU core each")
    ] = 1,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Predict the validation images by a variant that is not trained, such as Selective Search."""
    from pointrend_repro.config.variants import is_trained
    from pointrend_repro.data.paths import UserData, data_paths
    from pointrend_repro.experiments.loading import load_grid_of

    grid = load_grid_of(preset, dataset, variant, config_dir)
    if is_trained(grid.variants[variant]):
        raise UserError(f"variant {variant} is trained; use `predict` with its model")
    settings = grid.inference_settings(variant, inference)
    paths = data_paths(dataset, grid.datasets[dataset], UserData(data_root))
    from pointrend_repro.pipeline.steps.untrained import run_untrained

    names = {"preset": preset, "dataset": dataset, "variant": variant, "inference": inference}
    run_untrained(names, settings, paths, output=output, processes=processes, split=split.value)
    tell_written(output)
