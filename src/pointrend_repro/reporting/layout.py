"""How the paper prints a table: headings over several columns, rows named by several columns."""

from dataclasses import dataclass

from pointrend_repro.config.tables import Column, Row, Table


@dataclass(frozen=True)
class Heading:
    """One cell of a table's head, over `columns` columns and `lines` lines of it."""

    text: str
    unit: str
    columns: int
    lines: int


def heading_lines(table: Table) -> list[list[Heading]]:
    """Return the lines of the head without the stub: two where a heading is over several columns.

    Neighbours with the same outer heading share it, as in the paper.
    """
    columns = list(table.columns.values())
    if all(len(column.heading) < 2 for column in columns):
        return [[Heading(_printed(column), column.unit, 1, 1) for column in columns]]
    upper: list[Heading] = []
    lower: list[Heading] = []
    outer: str | None = None
    for column in columns:
        if len(column.heading) < 2:
            upper.append(Heading(_printed(column), column.unit, 1, 2))
            outer = None
            continue
        if column.heading[0] == outer:
            last = upper.pop()
            upper.append(Heading(last.text, "", last.columns + 1, 1))
        else:
            outer = column.heading[0]
            upper.append(Heading(outer, "", 1, 1))
        lower.append(Heading(_printed(column), column.unit, 1, 1))
    return [upper, lower]


def stub(table: Table, row: Row) -> list[tuple[str, int]]:
    """Return the cells that name a row, each with the number of columns it takes."""
    if row.stub:
        return [(text, 1) for text in row.stub]
    return [(row.title, stub_width(table))]


def stub_width(table: Table) -> int:
    """Return how many columns name the rows."""
    return max(1, len(table.stub_headings))


def _printed(column: Column) -> str:
    return column.heading[-1] if column.heading else column.title
