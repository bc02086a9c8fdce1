"""A measured table as LaTeX, laid out as in the paper, with booktabs' rules."""

import re
import unicodedata

from pointrend_repro.base.texts import visible
from pointrend_repro.config.tables import Row, Table
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.reporting.exports import best_of_own, notes
from pointrend_repro.reporting.formats import between, number, printed
from pointrend_repro.reporting.layout import Heading, heading_lines, stub, stub_width
from pointrend_repro.reporting.tables import MeasuredCell, MeasuredTable

_SPECIALS = {
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
    "\N{SUPERSCRIPT TWO}": r"$^2$",
    "\N{MINUS SIGN}": r"$-$",
    "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}",
    "\N{EN DASH}": r"\textendash{}",
    "\N{EM DASH}": r"\textemdash{}",
    "\N{LEFT SINGLE QUOTATION MARK}": r"\textquoteleft{}",
    "\N{RIGHT SINGLE QUOTATION MARK}": r"\textquoteright{}",
    "\N{LEFT DOUBLE QUOTATION MARK}": r"\textquotedblleft{}",
    "\N{RIGHT DOUBLE QUOTATION MARK}": r"\textquotedblright{}",
    "\N{DEGREE SIGN}": r"\textdegree{}",
    "\N{BULLET}": r"$\bullet$",
    "\N{MIDDLE DOT}": r"$\cdot$",
    "\N{RIGHTWARDS ARROW}": r"$\to$",
    "\N{DAGGER}": r"\textdagger{}",
    "\N{DOUBLE DAGGER}": r"\textdaggerdbl{}",
    "\N{CHECK MARK}": r"$\surd$",
}
_LETTERS = "ßæÆøØåÅœŒłŁ"
# Combining accents: grave, acute, circumflex, tilde, macron, breve, dot, diaeresis, ring, double
# acute, caron, cedilla. What has an ogonek or a stroke (ą, đ) needs another font encoding.
_ACCENTS = "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0327"
_GREEK = {"alpha", "beta", "gamma", "delta", "epsilon", "kappa", "mu", "pi", "rho", "sigma", "tau"}
_MARKS = {"deviates": r"$^\dagger$", "no-claim": r"$^\ddagger$"}
_LEGEND = r"$^\dagger$ deviates; $^\ddagger$ not judged; -- not measured; paper in parentheses."
_DASH = "\N{EN DASH}"
_NO_DASH = "\0"  # a hyphen before another, which would become one
_DATA_CHANGED = r"$^\ast$"
_ALTERED = r"$^\S$"
_PARTLY = r"$^\circ$"


def to_latex(grid: Grid, measured: MeasuredTable) -> str:
    """Return a `table` float for the packages booktabs and graphicx."""
    table = measured.table
    width, best = stub_width(table), best_of_own(measured)
    lines = [
        r"% Needs \usepackage{booktabs,graphicx}, and UTF-8 (the default since 2018).",
        r"\begin{table}[htbp]",
        r"\centering\small\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{escape(_title(grid, measured))}. {escape(table.caption)}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{'l' * width}{'r' * len(table.columns)}}}",
        r"\toprule",
        *_head(table),
        r"\midrule",
    ]
    for row_name, row in table.rows.items():
        if row.starts_group:
            lines.append(r"\addlinespace")
        cells = [
            _cell(measured.cells[row_name, name], measured, is_best=(row_name, name) in best)
            for name in table.columns
        ]
        lines.append(_line([_stub(table, row), *cells]))
    texts = [escape(note.replace("★", "Bold:")) for note in notes(grid, measured)]
    if measured.warning:
        texts.insert(0, rf"\textbf{{{escape(measured.warning)}}}")
    if any(cell.data_changed for cell in measured.cells.values()):
        texts.append(rf"{_DATA_CHANGED} the data have changed since.")
    if any(map(_is_partly_measured, measured.cells.values())):
        texts.append(rf"{_PARTLY} trials are missing.")
    altered = dict.fromkeys(cell.altered for cell in measured.cells.values() if cell.altered)
    if altered:
        texts.append(rf"{_ALTERED} {escape('; '.join(altered))}.")
    legend = [_LEGEND] if measured.published else ["-- not measured."]
    lines += [r"\bottomrule", r"\end{tabular}}", "", r"\smallskip"]
    lines.append(r"\parbox{0.95\linewidth}{\footnotesize " + " ".join([*texts, *legend]) + "}")
    lines.append(r"\end{table}")
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Return text that LaTeX prints as it stands, whatever it holds.

    What no font of a plain LaTeX has is printed as its code point.
    """
    words = re.sub("-(?=-)", _NO_DASH, " ".join(visible(text).split()))
    return "".join(_printed(char) for char in words)


def _printed(char: str) -> str:
    if char == _NO_DASH:
        return "-{}"
    if char in _SPECIALS:
        return _SPECIALS[char]
    if char.isascii() or char in _LETTERS or _is_accented(char):
        return char
    greek = unicodedata.name(char, "").removeprefix("GREEK SMALL LETTER ").lower()
    if greek in _GREEK:
        return rf"$\{greek}$"
    return f"[U+{ord(char):04X}]"


def _is_accented(char: str) -> bool:
    """Whether it is a Latin letter with an accent that all fonts of a plain LaTeX can print."""
    parts = unicodedata.normalize("NFD", char)
    return char <= "\u017f" and len(parts) == 2 and parts[0].isascii() and parts[1] in _ACCENTS


def _title(grid: Grid, measured: MeasuredTable) -> str:
    title = measured.table.title
    # LaTeX writes a number of its own before it.
    is_numbered = title.startswith("Table ")
    return f"{grid.paper_of(measured.name).about.short_title}, {title}" if is_numbered else title


def _head(table: Table) -> list[str]:
    upper, *lower = heading_lines(table)
    stub_cells = [escape(text) for text in table.stub_headings] or [""]
    if not lower:
        return [_line([*stub_cells, *(_heading(h) for h in upper)])]
    rules, at = [], len(stub_cells) + 1
    for heading in upper:
        if heading.lines == 1:
            rules.append(rf"\cmidrule(lr){{{at}-{at + heading.columns - 1}}}")
        at += heading.columns
    # A heading over both lines stands in the lower one, as the stub's do.
    below = iter(lower[0])
    second: list[str] = []
    for heading in upper:
        count = heading.columns
        second += [_heading(heading if heading.lines == 2 else next(below)) for _ in range(count)]
    first = ["" if heading.lines == 2 else _over(heading) for heading in upper]
    return [_line([""] * len(stub_cells) + first), " ".join(rules), _line([*stub_cells, *second])]


def _over(heading: Heading) -> str:
    return rf"\multicolumn{{{heading.columns}}}{{c}}{{{_heading(heading)}}}"


def _heading(heading: Heading) -> str:
    return escape(heading.text) + (f" [{escape(heading.unit)}]" if heading.unit else "")


def _stub(table: Table, row: Row) -> str:
    cells = [
        rf"\multicolumn{{{columns}}}{{l}}{{{escape(text)}}}" if columns > 1 else escape(text)
        for text, columns in stub(table, row)
    ]
    return " & ".join(cells)


def _cell(cell: MeasuredCell, measured: MeasuredTable, *, is_best: bool) -> str:
    paper = "" if cell.paper is None else f" ({printed(cell.paper)})"
    if not cell.cell.can_run:
        return paper.strip()
    if cell.measured is None:
        return f"--{paper}"
    mark = (_MARKS.get(cell.status, "") if measured.published else "") + (
        _DATA_CHANGED if cell.data_changed else ""
    )
    mark += (_ALTERED if cell.altered else "") + (_PARTLY if _is_partly_measured(cell) else "")
    ends = "" if cell.ends is None else f" [{between(cell.ends).replace(_DASH, '--')}]"
    shown = rf"\textbf{{{number(cell.measured)}}}" if is_best else number(cell.measured)
    return f"{shown}{ends}{paper}{mark}"


def _line(cells: list[str]) -> str:
    text = " & ".join(cells)
    # After \\ and \midrule, these would begin an option of theirs.
    return rf"{'{}' if text.startswith(('[', '*')) else ''}{text} \\"


def _is_partly_measured(cell: MeasuredCell) -> bool:
    return cell.measured is not None and cell.trials < cell.planned
