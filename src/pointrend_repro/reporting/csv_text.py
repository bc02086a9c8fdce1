"""The one writer and reader of CSV: what a spreadsheet would run as a formula stays a text.

Of a text that begins with `=`, `+`, `-`, `@` or a control character a spreadsheet makes a formula,
which may start programs. Such a cell gets an apostrophe before it, as OWASP says (CSV Injection),
and so does one that begins with apostrophes before such a character: the first apostrophe, and no
other, is then ours, and readers take it off. Numbers are never touched, negative ones included.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence

# The wide forms are read as the narrow ones where Chinese or Japanese is set.
_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def to_csv(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """Return a head and rows as CSV. None is an empty cell, and so is what a row does not have.

    Args:
        rows: numbers in full precision, and texts; keys are `columns`.
    """
    table = [dict(zip(columns, columns, strict=True)), *rows]
    guarded = [[_guarded(row.get(column)) for column in columns] for row in table]
    text = _written(guarded, line_end="\n")
    # Only what is in the line end is quoted for it.
    return text if "\r" not in text else _written(guarded, line_end="\r\n")


def read_csv(lines: Iterable[str]) -> list[dict[str, str]]:
    """Return the rows that `to_csv` has written, each by the names of the columns.

    Args:
        lines: of a file that is opened with `newline=""`.

    Raises:
        csv.Error: this is no CSV.
        ValueError: a row has more or fewer cells than the head.
    """
    head, *rows = [[unguarded(cell) for cell in row] for row in csv.reader(lines)] or [[]]
    return [dict(zip(head, row, strict=True)) for row in rows if row]


def unguarded(cell: str) -> str:
    """Return a cell's text as it was before it was made harmless."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _guarded(cell: object) -> object:
    if isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def _written(table: list[list[object]], *, line_end: str) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator=line_end).writerows(table)
    return text.getvalue()
