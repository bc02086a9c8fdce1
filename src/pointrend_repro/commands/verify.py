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
    altered, looked_at = len(found.problems) - found.gone, count(found.looked_at, "file")
    if found.looked_at:
        print(f"{count(found.looked_at - len(found.problems), 'file')} as recorded")
    if found.others:
        print(
            f"not looked at: {count(found.others, 'score')} of other trials, models or papers; "
            "ask for them as when they were made, by --set or --papers"
        )
    if altered:
        raise UserError(
            f"{folder}: {altered} of {looked_at} not as recorded; move each away and remake it by "
            "`snakemake --cores N -- FILE`"
        )
    if found.gone:
        raise UserError(
            f"{folder}: {found.gone} of {looked_at} gone; what is there is as recorded, and "
            "`snakemake --cores N -- FILE` makes one again"
        )
    if not found.looked_at:
        raise UserError(f"{folder}: holds no model, prediction or score of preset {preset} yet")
