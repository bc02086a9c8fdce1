"""Texts of titles, reasons and records as Markdown that shows them as they are."""

import re
from collections.abc import Iterable

from pointrend_repro.base.texts import visible

# What begins code, emphasis, a link, HTML, another cell, an entity, a strike or a formula.
_MARKUP = re.compile(r"[\\`*_\[\]<>|&~$]")


def escaped(text: str) -> str:
    """Return a text for the middle of a line, such as a cell of a table."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(visible(text).split()))


def escaped_line(text: str) -> str:
    """Return a text for a line of its own, where `#` at either end belongs to a heading."""
    return escaped(text).replace("#", r"\#")


def table_row(cells: Iterable[str]) -> str:
    """Return a row of a table, of cells that are Markdown."""
    return f"| {' | '.join(cells)} |"
