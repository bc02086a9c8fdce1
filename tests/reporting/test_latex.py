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
from pointrend_repro.config.papers import list_papers
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
    known = r"\\(text[a-z]+|ldots)\{\}|\\[&%$#_{}]|\$\\[a-z]+\$|\$\^2\$|\$-\$|-\{\}(?=-)"
    assert not re.search(r"[\\{}$&#^_~%]", re.sub(known, "", escaped))
    assert not re.search(r"[^\x20-\x7eÀ-ſ]", escaped)
    assert "--" not in escaped


@pytest.mark.parametrize("paper", list_papers())
def test_the_signs_of_the_papers_own_tables_are_printed(paper: str) -> None:
    for preset in ("paper", "smoke"):
        if fills_tables(preset, paper):
            text = "".join(latex(load_grid(preset, papers=[paper]), Path("nowhere")))
            assert r"\toprule" in text
            assert not re.findall(r".*\[U\+.*", text)


def fills_tables(preset: str, paper: str) -> bool:
    return bool(load_grid(preset, papers=[paper]).tables)


def test_the_best_of_ones_own_data_is_called_bold(paper: Grid, fill: Fill) -> None:
    rows = {k: r.model_copy(update={"paper": {}}) for k, r in paper.tables["table1"].rows.items()}
    table = paper.tables["table1"].model_copy(update={"rows": rows})
    (text,) = latex(replace(paper, tables={"table1": table}), fill(paper))
    assert r"\textbf{36.3} [36.2--36.4]" in text
    assert "Bold: best of its column" in text
    assert "[U+" not in text


def test_a_number_of_fewer_trials_is_marked(paper: Grid, fill: Fill) -> None:
    gone = frozenset(e.path for e in paper.cells[0].evaluations[2:])
    (text,) = latex(paper, fill(paper, skip=gone))
    assert r"35.2 [35.1--35.2] (35.2)$^\ddagger$$^\circ$ &" in text
    assert r"$^\circ$ trials are missing." in text
    assert r"\circ" not in latex(paper, fill(paper))[0]


@pytest.mark.parametrize("title", ["[26] Mask R-CNN", "* ours", "日本"])
def test_no_title_is_an_option_of_the_line_before(paper: Grid, title: str) -> None:
    table = paper.tables["table1"]
    rows = {
        name: row.model_copy(update={"title": title, "stub": (), "starts_group": True})
        for name, row in table.rows.items()
    }
    (text,) = latex(
        replace(paper, tables={"table1": table.model_copy(update={"rows": rows})}), Path()
    )
    assert not re.findall(r"^[\[*].*", text, re.MULTILINE)


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


@pytest.mark.skipif(LATEX is None, reason="no LaTeX is installed")
def test_all_that_is_not_a_code_point_is_in_the_fonts(tmp_path: Path) -> None:
    letters = [chr(k) for k in range(0x20, 0x2714) if "[U+" not in escape(chr(k))]
    assert {"é", "Ł", "ź", "č", "–", "†", "✓"} < set(letters)
    log = compile_latex([escape(" ".join(letters))], tmp_path)
    assert "Missing character" not in log
