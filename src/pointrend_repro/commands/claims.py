"""The commands that judge the paper's claims, and that write down the outcome to be kept."""

from pathlib import Path
from typing import Annotated

import typer

from pointrend_repro.base.damaged import damaged_moved_aside
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
from pointrend_repro.commands.telling import tell_written
from pointrend_repro.config.folder import CONFIG_DIR


def claims(
    preset: Preset,
    results_dir: ResultsDir = Path("results"),
    papers: Papers = "",
    lvis_annotations: LvisAnnotations = None,
    changes: Changes = None,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Judge the paper's claims by a preset's numbers, into results/<preset>/claims/."""
    from pointrend_repro.reporting.claims.files import write_claims
    from pointrend_repro.reporting.claims.judging import judge_claims
    from pointrend_repro.reporting.claims.schema import load_claims
    from pointrend_repro.reporting.claims.shown import in_words
    from pointrend_repro.reporting.results import load_results

    grid = grid_of(preset, config_dir, papers=papers, lvis_annotations=lvis_annotations)
    folder = results_of(preset, results_dir)
    with damaged_moved_aside():
        results = load_results(grid, folder)
    judged = judge_claims(grid, load_claims(config_dir, list(grid.papers)), results)
    write_claims(judged, folder)
    for claim in judged:
        print(f"{claim.verdict:16} {claim.name:40} {in_words(claim)}".rstrip())


def evidence(
    preset: Preset,
    results_dir: ResultsDir = Path("results"),
    docs: Annotated[
        Path,
        typer.Option(help="where to write evidence/<preset>_seeds_.../ and parts of evidence.md"),
    ] = Path("docs"),
    lvis_annotations: LvisAnnotations = None,
    changes: Changes = None,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Write a run's numbers, claims, conditions and metric files as small files to keep."""
    from pointrend_repro.reporting.evidence.writing import write_evidence

    grid = grid_of(preset, config_dir, lvis_annotations=lvis_annotations)
    results = results_of(preset, results_dir)
    with damaged_moved_aside():
        folder = write_evidence(grid, results, docs)
    tell_written(folder)
