"""The best of each column of a table about one's own data, where three trials say so."""

from pointrend_repro.reporting.tables import MeasuredCell, MeasuredTable

TRIALS = 3

RULE = (
    f"★ best of its column: of at least {TRIALS} trials each one is better than every trial of "
    "the other rows; rows of the same trainings are compared trial by trial."
)
NONE = f"No row is marked as best: that takes {TRIALS} trials of each row that all say so."


def best_cells(measured: MeasuredTable) -> set[tuple[str, str]]:
    """Return (row, column) of the cells that are the best of their column beyond doubt."""
    found = set()
    for column in measured.table.columns:
        cells = {row: measured.cells[row, column] for row in measured.table.rows}
        there = {row: cell for row, cell in cells.items() if cell.cell.can_run and cell.planned}
        if len(there) < 2 or any(_too_few(cell) for cell in there.values()):
            continue
        for row, cell in there.items():
            if all(_beats(cell, other) for other in there.values() if other is not cell):
                found.add((row, column))
    return found


def _too_few(cell: MeasuredCell) -> bool:
    return cell.trials < max(TRIALS, cell.planned) or bool(cell.altered)


def _beats(cell: MeasuredCell, other: MeasuredCell) -> bool:
    sign = -1 if cell.column.lower_is_better else 1
    own, others = ([sign * value for _, value in each.values] for each in (cell, other))
    # The same trainings, shown at another resolution: what is luck of one is luck of the other.
    if cell.row.variant == other.row.variant and len(own) == len(others):
        return all(a > b for a, b in zip(own, others, strict=True))
    return min(own) > max(others)
