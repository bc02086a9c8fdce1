"""One cell of a claim's difference: the number of each trial, and why there are no more."""

import statistics

from pointrend_repro.config.tables import Table
from pointrend_repro.experiments.nodes import Cell
from pointrend_repro.reporting.claims.contrasts import CellName
from pointrend_repro.reporting.formats import count
from pointrend_repro.reporting.frozen import Frozen
from pointrend_repro.reporting.results import Results


class JudgedCell(Frozen):
    """One cell of a difference.

    Attributes:
        title: in words.
        key: of the metric, as the official tool names it.
        paper: the published number, if there is one.
        trials: the measured number of each trial, by the metric file that it is in.
        why_not: why there are fewer trials than the preset asks for, or why one of them is no
            measurement; empty if all are there.
    """

    row: str
    column: str
    title: str
    key: str
    paper: float | None
    trials: dict[str, float]
    why_not: str = ""

    @property
    def median(self) -> float:
        """Over the trials, as in the table."""
        return statistics.median(self.trials.values())


def judged_cell(cell: Cell | None, table: Table, name: CellName, results: Results) -> JudgedCell:
    """Look up a cell of a table in the results; `cell` is None if the preset does not have it."""
    row, column = table.rows[name[0]], table.columns[name[1]]
    sources = cell.evaluations if cell else ()
    there = [source for source in sources if source in results]
    numbers = {source: results[source].values.get(column.value) for source in there}
    found = {source: value for source, value in numbers.items() if value is not None}
    why_not = ""
    if cell is None:
        why_not = "not part of this preset"
    elif not sources:
        why_not = cell.not_run_because
    elif len(found) < len(sources):
        why_not = f"{len(found)} of {count(len(sources), 'trial')} measured" if there else "not run"
        if len(found) < len(there):
            why_not += "; nothing to score"
    else:  # what somebody has edited is no measurement
        why_not = next((why for source in found if (why := results[source].altered)), "")
    return JudgedCell(
        row=name[0],
        column=name[1],
        title=f"{row.title}, {column.title}",
        key=column.value,
        paper=row.paper.get(name[1]),
        trials={source.path: value for source, value in found.items()},
        why_not=why_not,
    )
