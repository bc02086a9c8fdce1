"""What the page shows beside the paper's figures: pictures to move, and training curves."""

from pathlib import Path
from typing import Annotated

import typer

from pointrend_repro.base.damaged import damaged_moved_aside
from pointrend_repro.commands.options import (
    ConfigDir,
    DataRoot,
    Device,
    Output,
    Papers,
    Preset,
    ResultsDir,
    Threads,
    prepare_device,
)
from pointrend_repro.config.folder import CONFIG_DIR


def picture(
    name: Annotated[str, typer.Argument(help="comparison or subdivision")],
    preset: Preset,
    output: Output,
    results_dir: ResultsDir = Path("results"),
    data_root: DataRoot = None,
    threads: Threads = 1,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Draw a picture of the page from a preset's trained models, on the CPU."""
    from pointrend_repro.config.figure_plan import PAPER, known_picture
    from pointrend_repro.data.paths import UserData, data_paths
    from pointrend_repro.experiments.loading import load_grid

    chosen = known_picture(name)
    grid = load_grid(preset, config_dir, papers=[PAPER])
    dataset = grid.picture_trainings(chosen)[0].dataset
    paths = data_paths(dataset, grid.datasets[dataset], UserData(data_root))
    prepare_device(Device.cpu, threads, needs_gpu=False)
    from pointrend_repro.figures.making_pictures import make_picture

    with damaged_moved_aside():
        make_picture(grid, chosen, paths, results_dir=results_dir / preset, output=output)


def curves(
    preset: Preset,
    output: Output,
    results_dir: ResultsDir = Path("results"),
    papers: Papers = "",
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Thin out the training logs of a preset into one CSV."""
    from pointrend_repro.config.papers import paper_names
    from pointrend_repro.experiments.loading import load_grid
    from pointrend_repro.reporting.pictures.thinning import write_curves

    grid = load_grid(preset, config_dir, papers=paper_names(papers))
    write_curves(grid, results_dir / preset, output)
