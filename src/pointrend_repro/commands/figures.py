"""What is drawn of a preset: figures, what the page moves, and training curves."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pointrend_repro.base.damaged import damaged_moved_aside
from pointrend_repro.commands.grids import grid_of
from pointrend_repro.commands.options import (
    Changes,
    ConfigDir,
    DataRoot,
    Device,
    Output,
    Papers,
    Preset,
    ResultsDir,
    Threads,
    prepare_device,
    results_of,
)
from pointrend_repro.commands.telling import tell_written
from pointrend_repro.config.folder import CONFIG_DIR

if TYPE_CHECKING:
    from pointrend_repro.config.figures import Figures, PaperFigure
    from pointrend_repro.data.paths import DataPaths
    from pointrend_repro.experiments.grid import Grid


def figure(
    name: Annotated[str, typer.Argument(help="such as figure5")],
    preset: Preset,
    output: Annotated[Path, typer.Option(help="the PNG; the PDF and JSON are written beside it")],
    results_dir: ResultsDir = Path("results"),
    data_root: DataRoot = None,
    threads: Threads = 1,
    changes: Changes = None,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Draw a figure of the paper from a preset's trained models, on the CPU."""
    grid, drawn, paths = _drawn(
        preset, config_dir, lambda declared: declared.figure(name), data_root
    )
    prepare_device(Device.cpu, threads, needs_gpu=False)
    from pointrend_repro.figures.making import make_figure

    with damaged_moved_aside():
        make_figure(grid, drawn, paths, results_dir=results_dir / preset, png=output)
    tell_written(*(output.with_suffix(suffix) for suffix in (".png", ".pdf", ".json")))


def picture(
    name: Annotated[str, typer.Argument(help="such as comparison")],
    preset: Preset,
    output: Output,
    results_dir: ResultsDir = Path("results"),
    data_root: DataRoot = None,
    threads: Threads = 1,
    changes: Changes = None,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Draw an interactive picture of the page from a preset's trained models, on the CPU."""
    grid, drawn, paths = _drawn(
        preset, config_dir, lambda declared: declared.picture(name), data_root
    )
    prepare_device(Device.cpu, threads, needs_gpu=False)
    from pointrend_repro.figures.making import make_picture

    with damaged_moved_aside():
        make_picture(grid, drawn, paths, results_dir=results_dir / preset, output=output)
    tell_written(output)


def curves(
    preset: Preset,
    output: Output,
    results_dir: ResultsDir = Path("results"),
    papers: Papers = "",
    changes: Changes = None,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Thin the training logs of a preset into one CSV."""
    from pointrend_repro.reporting.pictures.thinning import write_curves

    grid = grid_of(preset, config_dir, papers=papers)
    write_curves(grid, results_of(preset, results_dir), output)
    tell_written(output)


def _drawn(
    preset: str,
    config_dir: Path,
    choose: "Callable[[Figures], PaperFigure]",
    data_root: Path | None,
) -> "tuple[Grid, PaperFigure, DataPaths]":
    """Return a preset with the paper that declares a figure, the figure, and the data it shows.

    Raises:
        UserError: no paper declares it, or it needs other models than the preset has.
    """
    from pointrend_repro.data.paths import UserData, data_paths
    from pointrend_repro.experiments.drawable import require_models
    from pointrend_repro.experiments.shown import dataset_shown

    grid = grid_of(preset, config_dir)
    drawn = choose(grid.drawn)
    if drawn.paper not in grid.papers:
        grid = grid_of(preset, config_dir, papers=drawn.paper)
    require_models(grid, drawn)
    dataset = dataset_shown(grid, drawn)
    return grid, drawn, data_paths(dataset, grid.datasets[dataset], UserData(data_root))
