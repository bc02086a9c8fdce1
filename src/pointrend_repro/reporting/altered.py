"""Marks on what is no longer as its step has made it: numbers edited, or of files made anew since.

Such a number is shown, and it is not judged: it is no measurement.
"""

from collections.abc import Sequence
from dataclasses import replace

from pointrend_repro.reporting.formats import count
from pointrend_repro.reporting.results import Results
from pointrend_repro.reporting.states import ALTERED
from pointrend_repro.reporting.tables import MeasuredCell, MeasuredTable


def mark_altered(tables: Sequence[MeasuredTable], results: Results) -> list[MeasuredTable]:
    """Return the tables with `altered` set in each cell that an altered number is behind."""

    def marked(cell: MeasuredCell) -> MeasuredCell:
        told = dict.fromkeys(results[source].altered for source, _ in cell.values)
        altered = "; ".join(words for words in told if words)
        if not altered:
            return cell
        judged = cell.status in {"reproduced", "deviates"}
        return replace(
            cell,
            altered=altered,
            status="no-claim" if judged else cell.status,
            reason="a number differs from its record" if judged else cell.reason,
        )

    return [
        replace(table, cells={place: marked(cell) for place, cell in table.cells.items()})
        for table in tables
    ]


def in_words(results: Results) -> str:
    """Return how many of the metric files hold what their steps have made."""
    states = [result.state for result in results.values()]
    silent = states.count("no digest")
    told = f"; {silent} made before digests were recorded" if silent else ""
    kinds = [
        f"{states.count(state)} {words}" for state, words in ALTERED.items() if state in states
    ]
    if not kinds:
        return f"as recorded by their steps{told}"
    return f"not as recorded, of {count(len(states), 'result')}: {', '.join(kinds)}{told}"
