"""The folder of a run, `docs/evidence/<preset>_seeds_<first>_to_<last>`, and the page."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pointrend_repro.base.damaged import made_anew
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import write_json, write_text
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.reporting.claims.files import FOLDER as CLAIMS_FOLDER
from pointrend_repro.reporting.claims.files import JudgedClaim, claims_as_data, read_claims
from pointrend_repro.reporting.code_state import TodaysCode
from pointrend_repro.reporting.collect import metrics_frame
from pointrend_repro.reporting.conditions import Conditions, gather_conditions
from pointrend_repro.reporting.evidence.blocks import with_blocks
from pointrend_repro.reporting.evidence.packing import pack
from pointrend_repro.reporting.evidence.tables import tables
from pointrend_repro.reporting.evidence.verdicts import CLAIMS_FILE, read_kept, verdicts_of_runs
from pointrend_repro.reporting.results import Results, load_results

ARCHIVE_FILE = "results.tar.xz"

# Of metrics.csv: what a number is and what made it. Commands and times stay with the results.
_COLUMNS = [
    *("dataset", "variant", "trial", "inference", "metric", "key", "value", "unit"),
    *("settings_digest", "code_digest", "state"),
]


def write_evidence(grid: Grid, results_dir: Path, docs: Path) -> Path:
    """Write the folder of a run below `docs/evidence`, and its blocks of `docs/evidence.md`.

    The folder has `metrics.csv`, `claims.json`, `conditions.json`, and `results.tar.xz` with the
    metric files. Of the page, what lies outside the marks of these blocks is kept.

    Args:
        results_dir: the preset's folder, `results/<preset>`, with its claims judged.
        docs: the folder of both.

    Returns:
        The run's folder.

    Raises:
        DamagedError: a metric or a claim cannot be read.
        UserError: no claim was judged, or one was judged by other numbers; or marks of
            `evidence.md` are missing; or the claims of another run cannot be read.
    """
    results = load_results(grid, results_dir)
    with made_anew(results_dir / CLAIMS_FOLDER):
        claims = read_claims(grid.name, results, results_dir)
    if not claims:
        raise UserError(f"{results_dir / CLAIMS_FOLDER}: no claims; judge them first")
    conditions = gather_conditions(grid, results, code=TodaysCode())
    page, folder = docs / "evidence.md", docs / "evidence" / run_name(grid)
    title = _title(folder.name)
    block = {title: tables(title, claims, conditions)}
    with_blocks(page, "Evidence", block)  # before anything is written, whether its marks are whole
    _write_folder(results_dir, folder, results, claims, conditions)
    runs = {
        _title(each.parent.name): read_kept(each.parent)
        for each in sorted(folder.parent.glob(f"{grid.name}_seed*/{CLAIMS_FILE}"))
    }
    block = {f"{grid.name}, verdicts": verdicts_of_runs(grid.name, runs)} | block
    write_text(page, with_blocks(page, "Evidence", block))
    return folder


def run_name(grid: Grid) -> str:
    """Return a name for a run: the preset, and the seeds of its trainings."""
    seeds = {training.trial for training in grid.trainings}
    first, last = min(seeds), max(seeds)
    span = f"seed_{first}" if first == last else f"seeds_{first}_to_{last}"
    return f"{grid.name}_{span}"


def _title(name: str) -> str:
    preset, _, seeds = name.rpartition("_seed")
    return f"{preset}, seed{seeds.replace('_', ' ')}"


def _write_folder(
    results_dir: Path,
    folder: Path,
    results: Results,
    claims: Sequence[JudgedClaim],
    conditions: Conditions,
) -> None:
    metrics = metrics_frame(results)[_COLUMNS]
    write_text(folder / "metrics.csv", metrics.to_csv(index=False, float_format="%.4f"))
    write_json(folder / CLAIMS_FILE, claims_as_data(list(claims)))
    write_json(folder / "conditions.json", asdict(conditions))
    pack(results_dir, [source.path for source in results], folder / ARCHIVE_FILE)
