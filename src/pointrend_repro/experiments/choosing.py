"""Which papers' tables, figures and pictures a preset makes, and what the user chose of them."""

from collections.abc import Collection, Sequence
from pathlib import Path

from pointrend_repro.base.errors import UserError, suggest
from pointrend_repro.config import figure_plan as plan
from pointrend_repro.config.finding import find
from pointrend_repro.config.papers import Paper, list_papers, load_paper
from pointrend_repro.config.presets import Preset


def chosen_papers(
    name: str, preset: Preset, chosen: Sequence[str], config_dir: Path
) -> dict[str, Paper]:
    """Read the papers that the user chose, or else those of the preset.

    Raises:
        UserError: there is no such paper, or its folder is wrong.
    """
    if not chosen:
        known = list_papers(config_dir)
        for paper in preset.papers:
            if paper not in known:
                hint = suggest(paper, known)
                raise UserError(f"presets/{name}.yaml: papers: there is no paper {paper!r}{hint}")
    return {paper: load_paper(paper, config_dir) for paper in chosen or preset.papers}


def tables_of(
    name: str, preset: Preset, papers: dict[str, Paper], config_dir: Path, *, is_choice: bool
) -> dict[str, str]:
    """Return the papers of the tables to fill, by table.

    A table in no paper's folder counts as one of the preset's first paper.

    Args:
        is_choice: whether the user chose the papers, so that tables of others are left out.

    Raises:
        UserError: there is none, or the preset names one of a paper that it does not name.
    """
    if preset.tables is None:
        return {table: paper.name for paper in papers.values() for table in paper.tables}
    found = {}
    for table in preset.tables:
        paper = find("table", table, config_dir).paper or preset.papers[0]
        if paper in papers:
            found[table] = paper
        elif not is_choice:
            raise UserError(
                f"presets/{name}.yaml: table {table!r} is of paper {paper!r}, which is not among "
                f"its papers {list(papers)}"
            )
    if not found:
        raise UserError(
            f"presets/{name}.yaml: names no table of {', '.join(papers)}; its tables are "
            f"{', '.join(preset.tables)}"
        )
    return found


def without_others(preset: Preset, papers: Collection[str]) -> Preset:
    """Return a preset without the figures and pictures of other papers than these."""
    if plan.PAPER in papers:
        return preset
    plotted = [name for name in preset.pictures if name not in plan.PICTURE_VARIANTS]
    return preset.model_copy(update={"figures": [], "pictures": plotted})
