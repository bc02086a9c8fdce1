"""The command that looks at every file of a preset's results."""

from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.commands.grids import grid_of
from pointrend_repro.commands.options import (
    Changes,
    ConfigDir,
    LvisAnnotations,
    Papers,
    Preset,
    ResultsDir,
    results_of,
)
from pointrend_repro.config.folder import CONFIG_DIR


def verify(
    preset: Preset,
    results_dir: ResultsDir = Path("results"),
    papers: Papers = "",
    lvis_annotations: LvisAnnotations = None,
    changes: Changes = None,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Read a preset's models, predictions and scores; list those that are not as recorded."""
    from pointrend_repro.reporting.formats import count
    from pointrend_repro.reporting.verifying import verify as look_at

    grid = grid_of(preset, config_dir, papers=papers, lvis_annotations=lvis_annotations)
    folder = results_of(preset, results_dir)
    found = look_at(grid, folder)
    for problem in found.problems:
        print(problem)
    if found.problems:
        wrong = f"{len(found.problems)} of {count(found.looked_at, 'file')}"
        raise UserError(
            f"{folder}: {wrong} not as recorded; move each away and remake it by "
            "`snakemake --cores N -- FILE`"
        )
    if not found.looked_at:
        raise UserError(f"{folder}: holds no model, prediction or score of preset {preset} yet")
    print(f"{count(found.looked_at, 'file')} as recorded")
