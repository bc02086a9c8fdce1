"""The folder of a run, `docs/evidence/<preset>_seeds_<first>_to_<last>`, and the page."""

from collections import defaultdict
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
from pointrend_repro.reporting.data_state import load_data_state, mark_changed
from pointrend_repro.reporting.evidence.blocks import with_block
from pointrend_repro.reporting.evidence.kept import CLAIMS_FILE, CONDITIONS_FILE, read_kept
from pointrend_repro.reporting.evidence.packing import pack
from pointrend_repro.reporting.evidence.tables import page_of_run, verdicts_of_runs
from pointrend_repro.reporting.results import Results, load_results

ARCHIVE_FILE = "results.tar.xz"

# Of metrics.csv: what a number is and what made it. Commands and times stay with the results.
_COLUMNS = [
    *("dataset", "variant", "trial", "inference", "metric", "key", "value", "unit"),
    *("settings_digest", "code_digest", "state"),
]


def write_evidence(grid: Grid, results_dir: Path, docs: Path) -> Path:
    """Write a run's folder below `docs/evidence`, and its preset's block of `docs/evidence.md`.

    The folder has `metrics.csv`, `claims.json`, `conditions.json`, `results.tar.xz` with the metric
    files, and all differences as `README.md`. The block has the verdicts of all runs that are kept
    of the preset; what the page has outside its marks stays.

    Args:
        results_dir: the preset's folder, `results/<preset>`, with its claims judged.
        docs: the folder of both.

    Returns:
        The run's folder.

    Raises:
        DamagedError: a metric or a claim cannot be read.
        UserError: no claim was judged, or one was judged by other numbers; or the preset trains
            nothing; or marks of `evidence.md` are missing; or another run's files cannot be read.
    """
    results = load_results(grid, results_dir)
    with made_anew(results_dir / CLAIMS_FOLDER):
        claims = read_claims(grid, results, results_dir)
    if not claims:
        raise UserError(f"{results_dir / CLAIMS_FOLDER}: no claims; judge them first")
    compared = mark_changed(results, load_data_state(grid, results_dir))
    conditions = gather_conditions(grid, compared, code=TodaysCode())
    page, folder = docs / "evidence.md", docs / "evidence" / run_name(grid)
    with_block(page, grid.name, "")  # before anything is written, whether its marks are whole
    _write_folder(results_dir, folder, results, claims, conditions)
    folders = sorted(path.parent for path in folder.parent.glob(f"{grid.name}_seed*/{CLAIMS_FILE}"))
    runs = [read_kept(each) for each in folders]
    for each, run in zip(folders, runs, strict=True):
        write_text(each / "README.md", page_of_run(grid.name, run))
    write_text(page, with_block(page, grid.name, verdicts_of_runs(grid.name, runs)))
    return folder


def run_name(grid: Grid) -> str:
    """Return a name for a run: the preset, and the seeds of its trainings.

    A data set may have fewer of them than another, as in the paper. If they do not begin with the
    same one, those of each data set are named, so that no run has another's name.

    Raises:
        UserError: it has none.
    """
    of_dataset: defaultdict[str, set[int]] = defaultdict(set)
    for training in grid.trainings:
        of_dataset[training.dataset].add(training.trial)
    if not of_dataset:
        raise UserError(f"preset {grid.name} trains nothing, so there is no run to keep")
    seeds = set[int]().union(*of_dataset.values())
    if len({min(own) for own in of_dataset.values()}) == 1:
        named = _span(seeds)
    else:
        named = "_and_".join(f"{_span(own)}_of_{name}" for name, own in sorted(of_dataset.items()))
    return f"{grid.name}_{'seed' if len(seeds) == 1 else 'seeds'}_{named}"


def _span(seeds: set[int]) -> str:
    first, last = min(seeds), max(seeds)
    return f"{first}" if first == last else f"{first}_to_{last}"


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
    write_json(folder / CONDITIONS_FILE, asdict(conditions))
    pack(results_dir, [source.path for source in results], folder / ARCHIVE_FILE)
