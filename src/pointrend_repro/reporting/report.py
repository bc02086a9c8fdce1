"""A preset's whole report: every table in three formats, a summary for machines, and pages."""

import csv
from pathlib import Path

from pointrend_repro.base.damaged import made_anew
from pointrend_repro.base.errors import DamagedError, UserError
from pointrend_repro.base.files import write_json, write_text
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import METRICS_FILE, ORIGINS_FILE, Cost, Evaluation
from pointrend_repro.reporting.altered import mark_altered
from pointrend_repro.reporting.claims.files import FOLDER as CLAIMS_FOLDER
from pointrend_repro.reporting.claims.files import claims_as_data, read_claims
from pointrend_repro.reporting.code_state import TodaysCode
from pointrend_repro.reporting.collect import metrics_csv, metrics_frame, origins_csv
from pointrend_repro.reporting.conditions import gather_conditions
from pointrend_repro.reporting.csv_text import read_csv
from pointrend_repro.reporting.data_state import load_data_state, mark_cells, mark_changed
from pointrend_repro.reporting.exports import to_csv, to_markdown
from pointrend_repro.reporting.latex import to_latex
from pointrend_repro.reporting.missing import Absent, why_absent
from pointrend_repro.reporting.pages import Measured, write_pages
from pointrend_repro.reporting.results import Results, load_results
from pointrend_repro.reporting.summary import summarize
from pointrend_repro.reporting.tables import MeasuredTable, measure_tables


def write_report(
    grid: Grid, results_dir: Path, reports_dir: Path, lvis_annotations: Path | None = None
) -> None:
    """Write `tables/<table>.{csv,md,tex}`, `summary.json` and the pages of a preset.

    Args:
        results_dir: the preset's folder, `results/<preset>`, with what was collected up to date.
        reports_dir: where to write, `reports/<preset>`; the figures are in `figures/` there.
        lvis_annotations: those that the user names, to tell whether they have changed.

    Raises:
        DamagedError: metrics.csv or origins.csv is not what the metric files say, or a claim or a
            figure cannot be read.
        UserError: metrics.csv or origins.csv is missing, or of other metric files.
    """
    data = load_data_state(grid, results_dir, lvis_annotations)
    results = mark_changed(load_results(grid, results_dir), data)
    metrics = metrics_frame(results)
    _check_collected(results_dir / METRICS_FILE, metrics_csv(results))
    _check_collected(results_dir / ORIGINS_FILE, origins_csv(results))
    absent = _find_absent(grid, results, results_dir)
    tables = mark_cells(measure_tables(grid, metrics, absent), results)
    tables = mark_altered(tables, results)
    _write_tables(grid, tables, reports_dir / "tables")
    code = TodaysCode()
    conditions = gather_conditions(grid, results, code)
    with made_anew(results_dir / CLAIMS_FOLDER):
        claims = read_claims(grid, results, results_dir)
    summary = summarize(grid, tables, conditions) | {"claims": claims_as_data(claims)}
    write_json(reports_dir / "summary.json", summary)
    measured = Measured(results, absent, tables, claims)
    write_pages(grid, measured, code, results_dir=results_dir, reports_dir=reports_dir)


def _find_absent(
    grid: Grid, results: Results, results_dir: Path
) -> dict[Evaluation | Cost, Absent]:
    wanted: list[Evaluation | Cost] = [*grid.evaluations, *grid.costs]
    before = {e: grid.before(e.prediction) if isinstance(e, Evaluation) else [] for e in wanted}
    return {
        e: why_absent(e, results_dir, before[e], grid.kind_of) for e in wanted if e not in results
    }


def _write_tables(grid: Grid, tables: list[MeasuredTable], folder: Path) -> None:
    for table in tables:
        write_text(folder / f"{table.name}.csv", to_csv(table))
        write_text(folder / f"{table.name}.md", to_markdown(grid, table))
        write_text(folder / f"{table.name}.tex", to_latex(grid, table))


def _check_collected(path: Path, expected: str) -> None:
    """Refuse to show a number that is not in metrics.csv, or an origin that is not its own."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; collect the metrics first")
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        found = file.read()
    if found == expected:
        return
    if _is_of_other_files(found, expected):
        raise UserError(
            f"{path}: is of other metric files than this report, as those of other trials; "
            "collect again with the options of this command"
        )
    problem = f"{path}: is not what the metric files beside it say"
    raise DamagedError(problem, (path,), "collect them again")


def _is_of_other_files(found: str, expected: str) -> bool:
    """Whether two CSV texts say the same of each metric file that both have, and have others."""
    try:
        here, there = (_rows_by_file(text) for text in (found, expected))
    except (csv.Error, ValueError, KeyError):
        return False
    return here.keys() != there.keys() and all(here[f] == there[f] for f in here.keys() & there)


def _rows_by_file(text: str) -> dict[str, list[dict[str, str]]]:
    rows: dict[str, list[dict[str, str]]] = {}
    for row in read_csv(text.splitlines(keepends=True)):
        rows.setdefault(row["file"], []).append(row)
    return rows
