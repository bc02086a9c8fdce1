"""A preset's whole report: every table in three formats, and the page with tables and figures."""

from pathlib import Path

from pointrend_repro import provenance
from pointrend_repro.errors import UserError
from pointrend_repro.experiments import Grid
from pointrend_repro.files import write_text
from pointrend_repro.reporting.collect import METRICS_FILE, metrics_csv, metrics_frame
from pointrend_repro.reporting.exports import to_csv, to_latex, to_markdown
from pointrend_repro.reporting.figures import load_figures
from pointrend_repro.reporting.page import render_page
from pointrend_repro.reporting.results import load_results
from pointrend_repro.reporting.tables import measure_tables


def write_report(grid: Grid, results_dir: Path, reports_dir: Path) -> None:
    """Write `tables/<table>.{csv,md,tex}` and `index.html` for a preset.

    Args:
        results_dir: the preset's folder, `results/<preset>`, with an up-to-date metrics.csv.
        reports_dir: where to write, `reports/<preset>`; the figures are in `figures/` there.

    Raises:
        UserError: metrics.csv is missing or is not what the metric files say, or a figure is
            damaged.
    """
    results = load_results(grid, results_dir)
    metrics = metrics_frame(results)
    _check_collected(results_dir / METRICS_FILE, metrics_csv(metrics))
    tables = measure_tables(grid, metrics)
    for table in tables:
        stem = reports_dir / "tables" / table.name
        write_text(stem.with_suffix(".csv"), to_csv(table))
        write_text(stem.with_suffix(".md"), to_markdown(grid, table))
        write_text(stem.with_suffix(".tex"), to_latex(grid, table))
    page = render_page(
        grid,
        tables,
        metrics,
        results,
        figures=load_figures(grid, reports_dir / "figures"),
        results_dir=results_dir,
        code_digest=provenance.code_digest(),
    )
    write_text(reports_dir / "index.html", page)


def _check_collected(path: Path, expected: str) -> None:
    """Refuse to show a number that is not in metrics.csv, or an origin that is not its own."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; collect the metrics first")
    if path.read_text(encoding="utf-8") != expected:
        raise UserError(f"{path}: is not what the metric files beside it say; collect them again")
