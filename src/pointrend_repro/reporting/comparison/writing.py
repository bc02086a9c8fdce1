"""A comparison as a page, as Markdown, as CSV, and for the terminal."""

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import write_text
from pointrend_repro.base.templates import page_templates
from pointrend_repro.base.texts import visible
from pointrend_repro.reporting import csv_text
from pointrend_repro.reporting.comparison.comparing import (
    STATUSES,
    ComparedCell,
    Comparison,
    Status,
    tables_of,
)
from pointrend_repro.reporting.formats import count, signed
from pointrend_repro.reporting.markdown import escaped, escaped_line, table_row
from pointrend_repro.reporting.tables import MeasuredCell

COLOURS: dict[Status, str] = {
    "same": "green",
    "differs": "red",
    "no tolerance": "default",
    "only A": "yellow",
    "only B": "yellow",
}


def write_comparison(comparison: Comparison, output: Path) -> None:
    """Write a comparison in the format that the file's name ends in.

    Raises:
        UserError: it ends in none of .html, .md and .csv, lies in a folder that is compared, or
            cannot be written.
    """
    writers = {".html": to_html, ".md": to_markdown, ".csv": to_csv}
    if output.suffix not in writers:
        raise UserError(f"--output {output}: ends in none of {', '.join(writers)}; or say - ")
    for side in comparison.sides:
        if output.resolve().is_relative_to(side.folder.resolve()):
            raise UserError(f"--output {output}: lies in {side.folder}, which is compared")
    write_text(output, writers[output.suffix](comparison))


def to_csv(comparison: Comparison) -> str:
    """Return one line a cell, numbers in full precision."""
    rows = [
        {
            "table": cell.table,
            "row": cell.a.row.title,
            "column": cell.a.column.title,
            "unit": cell.a.column.unit,
            "a": cell.a.measured,
            "b": cell.b.measured,
            "difference": cell.difference,
            "tolerance": cell.tolerance,
            "spread_a": cell.a.spread,
            "spread_b": cell.b.spread,
            "trials_a": cell.a.trials,
            "trials_b": cell.b.trials,
            "status": cell.status,
        }
        for cell in comparison.cells
    ]
    return csv_text.to_csv(list(rows[0]) if rows else [], rows)


def to_markdown(comparison: Comparison) -> str:
    """Return the comparison as a Markdown page."""
    lines = [f"# Preset {comparison.preset}: A and B", ""]
    lines += [f"- {line}" for line in _summary(comparison)]
    if comparison.warning:
        lines += ["", f"> **{escaped_line(comparison.warning)}**"]
    for name, cells in tables_of(comparison.cells).items():
        lines += ["", f"## {escaped_line(comparison.titles[name])}", ""]
        lines += [
            "| cell | A | B | B − A | tolerance | |",
            "| --- | ---: | ---: | ---: | ---: | --- |",
        ]
        lines += [table_row(map(escaped, _texts(cell))) for cell in cells]
    lines += ["", "## Origins", "", "| | A | B | |", "| --- | --- | --- | --- |"]
    for fact in comparison.facts:
        a, b = ("<br>".join(map(escaped, side)) or "–" for side in (fact.a, fact.b))
        lines.append(table_row([escaped(fact.name), a, b, "same" if fact.same else "differs"]))
    return "\n".join(lines) + "\n"


def to_html(comparison: Comparison) -> str:
    """Return the comparison as one file that needs no network."""
    templates = page_templates(Path(__file__).parents[1])
    return templates.get_template("compare.html.j2").render(
        comparison=comparison,
        summary=_summary(comparison),
        tables=[
            (comparison.titles[name], [(cell, _texts(cell)) for cell in cells])
            for name, cells in tables_of(comparison.cells).items()
        ],
    )


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print a comparison for people: the cells, then what differs in their origins."""
    for name, cells in tables_of(comparison.cells).items():
        table = Table(
            title=_for_terminal(comparison.titles[name]), title_justify="left", box=SIMPLE_HEAD
        )
        for heading in ("cell", "A", "B", "B − A", "tolerance", ""):
            table.add_column(heading, justify="left" if heading in {"cell", ""} else "right")
        for cell in cells:
            *texts, status = (_for_terminal(text) for text in _texts(cell))
            table.add_row(*texts, f"[{COLOURS[cell.status]}]{status}[/]")
        console.print(table)
    origins = Table(title="Differences in their origins", title_justify="left", box=SIMPLE_HEAD)
    for heading in ("", "A", "B"):
        origins.add_column(heading)
    for fact in comparison.facts:
        if not fact.same:
            origins.add_row(
                *(_for_terminal(text) for text in (fact.name, *map("\n".join, (fact.a, fact.b))))
            )
    if origins.row_count:
        console.print(origins)
    for line in _summary(comparison):
        console.print(_for_terminal(line), highlight=False)


def _summary(comparison: Comparison) -> list[str]:
    a, b = comparison.sides
    numbers = comparison.numbers
    counts = [f"{comparison.count(s)} {s}" for s in STATUSES if comparison.count(s)]
    differing = [fact.name for fact in comparison.facts if not fact.same]
    left_out = comparison.left_out
    files = count(len(left_out), "metric file")
    told = [f"Left out: {files} of no cell of the tables, such as {one}." for one in left_out[:1]]
    return [
        f"A: {a.folder}",
        f"B: {b.folder}",
        f"Cells: {', '.join(counts)}. Same means that B − A is within the table's tolerance.",
        *told,
        f"All numbers: {numbers.identical} identical, {numbers.different} different, "
        f"{numbers.only_a} only in A, {numbers.only_b} only in B.",
        f"Origins: {count(len(differing), 'difference')}"
        + (f" ({', '.join(differing)})." if differing else "."),
    ]


def _texts(cell: ComparedCell) -> tuple[str, str, str, str, str, str]:
    return (
        f"{cell.a.row.title}, {cell.a.column.title}",
        _number(cell.a),
        _number(cell.b),
        "–" if cell.difference is None else signed(cell.difference),
        "–" if cell.tolerance is None else f"{cell.tolerance:g} {cell.a.column.unit}",
        cell.status,
    )


def _number(cell: MeasuredCell) -> str:
    if cell.measured is None:
        return "–"
    ends = "" if cell.ends is None else f" ({cell.ends[0]:.2f}–{cell.ends[1]:.2f})"
    return f"{cell.measured:.2f}{ends}"


def _for_terminal(text: str) -> str:
    return escape(visible(text))
