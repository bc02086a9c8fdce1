"""LaTeX tables are laid out as in the paper, print every text as it stands, and compile."""

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_metrics import fill_whole_grid, nasty

from collected import collect_metrics
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.reporting.latex import escape, to_latex
from pointrend_repro.reporting.tables import measure_tables

Fill = Callable[..., Path]
LATEX = next((name for name in ("pdflatex", "lualatex", "xelatex") if shutil.which(name)), None)


def latex(grid: Grid, results_dir: Path) -> list[str]:
    tables = measure_tables(grid, collect_metrics(grid, results_dir))
    return [to_latex(grid, table) for table in tables]


def test_the_head_has_the_papers_headings(paper: Grid, fill: Fill) -> None:
    (text,) = latex(paper, fill(paper, offset=0.5))
    head = text[text.index(r"\toprule") : text.index(r"\midrule")].splitlines()[1:]
    assert head == [
        r" &  & \multicolumn{2}{c}{COCO} & \multicolumn{1}{c}{Cityscapes} \\",
        r"\cmidrule(lr){3-4} \cmidrule(lr){5-5}",
        r"mask head & output resolution & AP [\%] & AP* [\%] & AP [\%] \\",
    ]
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")].splitlines()[1:]
    assert body[0] == (
        r"4$\times$ conv & 28$\times$28 & 35.7 [35.6--35.8] (35.2)$^\dagger$ "
        r"& 38.1 [38.0--38.2] (37.6)$^\dagger$ & -- (33.0) \\"
    )
    assert body[1] == r"\addlinespace"
    assert len(body) == 4


def test_every_line_has_as_many_cells_as_the_table_columns() -> None:
    grid = load_grid("paper")
    for name, table in grid.tables.items():
        only = replace(grid, tables={name: table})
        (text,) = latex(only, Path("nowhere"))
        wanted = max(1, len(table.stub_headings)) + len(table.columns)
        spec = re.search(r"\\begin\{tabular\}\{(\w+)\}", text)
        assert spec is not None
        assert len(spec[1]) == wanted
        for line in text.splitlines():
            if line.endswith(r" \\"):
                spans = [int(n) - 1 for n in re.findall(r"multicolumn\{(\d+)\}", line)]
                assert len(re.findall(r"(?<!\\)&", line)) + 1 + sum(spans) == wanted, line


def test_a_row_without_entries_of_its_own_has_its_title_over_all_of_them(paper: Grid) -> None:
    table = paper.tables["table1"]
    rows = table.rows | {"4conv_28": table.rows["4conv_28"].model_copy(update={"stub": ()})}
    grid = replace(paper, tables={"table1": table.model_copy(update={"rows": rows})})
    assert r"\multicolumn{2}{l}{4x conv, 28x28} & -- (35.2)" in latex(grid, Path("nowhere"))[0]


def test_specials_are_escaped(paper: Grid, tmp_path: Path) -> None:
    (text,) = latex(nasty(paper), tmp_path)
    assert r"\input" not in text
    assert r"\textbackslash{}input\{x\} 100\% \& \$a\_b\textasciicircum{}c\$ \#1" in text
    assert r"-{}- \textbar{} \textless{}script\textgreater{}" in text
    assert r"$\pm$ $\times$ $\beta$$^2$ [U+65E5][U+672C]" in text
    assert "\x07" not in text


@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_no_text_is_a_command(text: str) -> None:
    escaped = escape(text)
    known = (
        r"\\textbackslash\{\}|\\textasciitilde\{\}|\\textasciicircum\{\}|\\textless\{\}"
        r"|\\textgreater\{\}|\\textbar\{\}|\\ldots\{\}|\\[&%$#_{}]|\$\\[a-z]+\$|\$\^2\$|\$-\$|-\{\}-"
    )
    assert not re.search(r"[\\{}$&#^_~%]", re.sub(known, "", escaped))
    assert not re.search(r"[^\x20-\x7eÀ-ÿ]", escaped)


def compile_latex(tables: list[str], folder: Path) -> str:
    """Return the log of a document with all tables."""
    head = "\\documentclass{article}\n\\usepackage{booktabs,graphicx}\n\\begin{document}\n"
    document = head + "\n".join(tables) + "\n\\end{document}\n"
    (folder / "t.tex").write_text(document, encoding="utf-8")
    command = [str(LATEX), "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=100, check=False)
    log = done.stdout.decode("utf-8", errors="replace")
    assert done.returncode == 0, log[-2000:]
    return log


@pytest.mark.skipif(LATEX is None, reason="no LaTeX is installed")
def test_every_table_of_the_paper_compiles_and_fits_the_page(tmp_path: Path) -> None:
    grid = load_grid("paper")
    fill_whole_grid(tmp_path / "results", grid)
    log = compile_latex(latex(grid, tmp_path / "results"), tmp_path)
    assert "Overfull" not in log


@pytest.mark.skipif(LATEX is None, reason="no LaTeX is installed")
def test_nasty_texts_compile(paper: Grid, fill: Fill, tmp_path: Path) -> None:
    compile_latex(latex(nasty(paper), fill(paper, offset=0.5)), tmp_path)
