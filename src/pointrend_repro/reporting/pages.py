"""The pages of a report: one for each paper and, of several, the page that leads to them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pointrend_repro.base.files import write_text
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import PAGE_FILE, Cost, Evaluation, page_paths
from pointrend_repro.reporting.claims.files import JudgedClaim
from pointrend_repro.reporting.claims.shown import show_claims
from pointrend_repro.reporting.classes import lay_out_classes
from pointrend_repro.reporting.code_state import TodaysCode
from pointrend_repro.reporting.conditions import gather_conditions
from pointrend_repro.reporting.figures import load_figures
from pointrend_repro.reporting.links import links_from
from pointrend_repro.reporting.missing import Absent
from pointrend_repro.reporting.origins import trace_origins
from pointrend_repro.reporting.page import (
    Content,
    PaperEntry,
    is_own,
    render_first_page,
    render_page,
)
from pointrend_repro.reporting.pictures.load import load_pictures
from pointrend_repro.reporting.results import Results
from pointrend_repro.reporting.tables import MeasuredTable


@dataclass(frozen=True)
class Measured:
    """What the pages show beside pictures, of all papers or of one."""

    results: Results
    absent: Mapping[Evaluation | Cost, Absent]
    tables: list[MeasuredTable]
    claims: list[JudgedClaim]

    def of(self, grid: Grid) -> "Measured":
        """Return what belongs to the tables of a part of the grid."""
        asked = {*grid.evaluations, *grid.costs}
        return Measured(
            {made: result for made, result in self.results.items() if made in asked},
            {made: absent for made, absent in self.absent.items() if made in asked},
            [table for table in self.tables if table.name in grid.tables],
            [claim for claim in self.claims if claim.table in grid.tables],
        )


def write_pages(
    grid: Grid, measured: Measured, code: TodaysCode, *, results_dir: Path, reports_dir: Path
) -> None:
    """Write `index.html` and, with several papers, `paper_<paper>.html` for each.

    Pages of papers that are not in this report are removed: their numbers may be old.

    Raises:
        DamagedError: a figure or picture cannot be read.
    """
    paths = page_paths(list(grid.papers))
    entries = []
    for name, path in paths.items():
        part = grid.of_paper(name)
        own = measured.of(part)
        shown = show_claims(own.claims)
        figures = load_figures(part, reports_dir / "figures")
        mine = is_own(own.tables)
        content = Content(
            own.tables,
            gather_conditions(part, own.results, code),
            trace_origins(own.tables, own.results, own.absent, results_dir=results_dir, code=code),
            figures,
            links_from(reports_dir, results_dir),
            [c for t in own.tables for c in lay_out_classes(t, own.results)] if mine else [],
        )
        pictures = load_pictures(
            part, own.tables, own.results, results_dir=results_dir, folder=reports_dir / "pictures"
        )
        page = render_page(
            part, content, claims=shown, pictures=pictures, has_others=len(paths) > 1
        )
        write_text(reports_dir / path, page)
        first = next((figure for figure in figures.values() if figure), None)
        entries.append(PaperEntry(grid.papers[name].about, path, own.tables, shown, first))
    if len(paths) > 1:
        conditions = gather_conditions(grid, measured.results, code)
        write_text(reports_dir / PAGE_FILE, render_first_page(grid, entries, conditions))
    for old in reports_dir.glob("paper_*.html"):
        if old.name not in paths.values():
            old.unlink()
