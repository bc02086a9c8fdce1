"""A measured table as CSV for machines, and as Markdown and LaTeX, laid out as in the paper."""

import re

import pandas as pd

from pointrend_repro.experiments import Grid
from pointrend_repro.reporting.formats import number
from pointrend_repro.reporting.tables import MeasuredCell, MeasuredTable
from pointrend_repro.schema import Column

CSV_COLUMNS = ("row", "column", "paper", "measured", "spread", "trials", "unit", "status")

_TEX_SPECIALS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
}
_TEX_MARKS = {"deviates": r"$^\dagger$", "no-claim": r"$^\ddagger$"}


def to_csv(measured: MeasuredTable) -> str:
    """Return one line a cell, rounded to four decimals; what is not there is empty."""
    rows = [
        {
            "row": cell.row.title,
            "column": cell.column.title,
            "paper": cell.paper,
            "measured": _rounded(cell.measured),
            "spread": _rounded(cell.spread),
            "trials": cell.trials,
            "unit": cell.column.unit,
            "status": cell.status,
        }
        for cell in measured.cells.values()
    ]
    frame = pd.DataFrame(rows, columns=list(CSV_COLUMNS))
    return frame.to_csv(index=False, lineterminator="\n")


def to_markdown(grid: Grid, measured: MeasuredTable) -> str:
    """Return a page with the table, the preset's warning above it and its rules below it."""
    table = measured.table
    columns = [_markdown_text(column.title) for column in table.columns.values()]
    lines = [f"# {_markdown_text(table.title)}", ""]
    if measured.warning:
        lines += [f"> **{_markdown_text(measured.warning)}**", ""]
    lines += [_markdown_text(table.caption), "", _pipes(["", *columns])]
    lines.append(_pipes(["---", *["---:" for _ in columns]]))
    for row_name, row in table.rows.items():
        cells = [_markdown_cell(measured.cells[row_name, name]) for name in table.columns]
        lines.append(_pipes([_markdown_text(row.title), *cells]))
    lines += ["", *(f"- {_markdown_text(note)}" for note in notes(grid, measured))]
    return "\n".join(lines) + "\n"


def to_latex(grid: Grid, measured: MeasuredTable) -> str:
    """Return a `table` float that needs the package booktabs."""
    table = measured.table
    columns = [_tex_text(column.title) for column in table.columns.values()]
    lines = [
        r"% Needs \usepackage{booktabs} and, for accents, UTF-8 (the default since 2018).",
        r"\begin{table}[htbp]",
        r"\centering",
        rf"\caption{{{_tex_text(table.title)}. {_tex_text(table.caption)}}}",
        rf"\begin{{tabular}}{{l{'r' * len(columns)}}}",
        r"\toprule",
        _ampersands(["", *columns]),
        r"\midrule",
    ]
    for row_name, row in table.rows.items():
        cells = [_tex_cell(measured.cells[row_name, name]) for name in table.columns]
        lines.append(_ampersands([_tex_text(row.title), *cells]))
    marks = r"$^\dagger$ deviates; $^\ddagger$ no claim; -- not measured; paper in parentheses."
    texts = [_tex_text(note) for note in notes(grid, measured)]
    if measured.warning:
        texts.insert(0, rf"\textbf{{{_tex_text(measured.warning)}}}")
    lines += [r"\bottomrule", r"\end{tabular}", "", r"\smallskip"]
    lines.append(r"\parbox{0.9\linewidth}{\footnotesize " + " ".join([*texts, marks]) + "}")
    lines.append(r"\end{table}")
    return "\n".join(lines) + "\n"


def notes(grid: Grid, measured: MeasuredTable) -> list[str]:
    """Return what a reader must know to judge the numbers: rules, tolerances and data."""
    columns = measured.table.columns.values()
    used = {c.dataset: grid.preset.datasets.get(c.dataset) for c in columns if c.dataset}
    data = [
        f"{wanted} is {grid.datasets[name].title}" if name else f"{wanted} is not part of it"
        for wanted, name in used.items()
    ]
    lines = [f"Source: {measured.table.source}."]
    if data:
        lines += [
            "Measured is the median over the trials; the spread (after ±) is the largest minus "
            "the smallest trial.",
            f"Preset {grid.name}: {'; '.join(data)}.",
        ]
    judged = [c for c in columns if grid.preset.warning is None or c.dataset is None]
    if judged:
        lines.append(
            "Reproduced: the median, before rounding, lies within the tolerance of the paper's "
            "number, and every trial is measured."
        )
    return lines + [f"Tolerance for {c.title}: {_tolerance_text(c)}." for c in judged]


def _tolerance_text(column: Column) -> str:
    if column.tolerance == "rounding":
        return column.tolerance_source
    return f"{column.tolerance:g} {column.unit} ({column.tolerance_source})"


def _markdown_cell(cell: MeasuredCell) -> str:
    paper = "no number in the paper" if cell.paper is None else f"paper {number(cell.paper)}"
    if cell.measured is None:
        return f"missing: {cell.reason} ({paper})"
    verdict = f"{cell.status}: {cell.reason}" if cell.reason else cell.status
    spread = "" if cell.spread is None else f" ± {number(cell.spread)}"
    return f"{number(cell.measured)}{spread} ({paper}) {verdict}"


def _tex_cell(cell: MeasuredCell) -> str:
    paper = "" if cell.paper is None else f" ({number(cell.paper)})"
    if cell.measured is None:
        return f"--{paper}"
    mark = _TEX_MARKS.get(cell.status, "")
    spread = "" if cell.spread is None else rf" $\pm$ {number(cell.spread)}"
    return f"{number(cell.measured)}{spread}{paper}{mark}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _pipes(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _ampersands(cells: list[str]) -> str:
    return rf"{' & '.join(cells)} \\"


def _markdown_text(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))


def _tex_text(text: str) -> str:
    return "".join(_TEX_SPECIALS.get(char, char) for char in " ".join(text.split()))
