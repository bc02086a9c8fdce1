"""Which papers' tables, figures and pictures a preset makes, and what the user chose of them."""

from collections.abc import Collection, Sequence
from pathlib import Path

from pointrend_repro.base.errors import UserError, suggest
from pointrend_repro.config.figures import Figures
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


def without_others(
    name: str, preset: Preset, drawn: Figures, papers: Collection[str], *, is_choice: bool
) -> Preset:
    """Return a preset with the figures and pictures of these papers alone; `[all]` means theirs.

    Args:
        drawn: those of all papers.
        is_choice: whether the user chose the papers, so that others' are left out.

    Raises:
        UserError: the preset names one of a paper that it does not name.
    """
    if preset.figures == ["all"]:
        theirs = [each for each, figure in drawn.figures.items() if figure.paper in papers]
        preset = preset.model_copy(update={"figures": theirs})
    known = drawn.figures | drawn.pictures
    others = {each for each, figure in known.items() if figure.paper not in papers}
    named = [each for each in [*preset.figures, *preset.pictures] if each in others]
    if named and not is_choice:
        raise UserError(
            f"presets/{name}.yaml: {named[0]} is of paper {known[named[0]].paper!r}, which is not "
            f"among its papers {list(papers)}"
        )
    kept = {
        key: [each for each in getattr(preset, key) if each not in others]
        for key in ("figures", "pictures")
    }
    return preset.model_copy(update=kept)
