"""What was judged, as a file for each claim: `results/<preset>/claims/<claim>.json`."""

from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from pointrend_repro.base.errors import OtherRunError, UserError
from pointrend_repro.base.files import read_json, write_json
from pointrend_repro.base.first_problem import first_problem
from pointrend_repro.base.folders import atomic_folder
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.reporting.claims import Method
from pointrend_repro.reporting.claims.cells import JudgedCell, judged_cell
from pointrend_repro.reporting.claims.intervals import Interval
from pointrend_repro.reporting.claims.needed_trials import Needed
from pointrend_repro.reporting.formats import count
from pointrend_repro.reporting.frozen import Frozen
from pointrend_repro.reporting.results import Record, Results

FOLDER = "claims"

Verdict = Literal["holds", "not-significant", "does-not-hold", "not-measured", "no-verdict"]


class JudgedPart(Frozen):
    """One difference of a claim, which is above zero where the claim holds.

    Attributes:
        text: what it is the difference of.
        factors: of `cells`, in their order.
        offset: a number that is added: the margin of what is claimed.
        paper: the difference of the published numbers.
        difference: of the medians over the trials; with `by_trial` cells that share trainings are
            added up trial by trial first, and the median is of that.
        images: its interval over resampled images.
        shift: how far the middle of its resamples lies above `difference`: on small sets classes
            without an object in a draw drop out of the mean.
        trainings: its interval over the trials' seeds.
        interval: with both errors, or with the one that is known; what decides.
        share: of the resamples, moved back by `shift`, those in which it is above zero.
        p_value: the level at which `interval` would just hold zero; None if it is a count, or not
            measured, or if there is no interval.
        needed: what would decide it, if it is not decided and anything is known of that.
        reason: what a reader must know of the verdict; empty if nothing.
    """

    text: str
    unit: str
    paper: float | None
    factors: tuple[float, ...]
    offset: float = 0.0
    cells: tuple[JudgedCell, ...]
    difference: float | None = None
    # Files that do not say are of the medians of each cell.
    by_trial: bool = False
    images: Interval | None = None
    shift: float | None = None
    trainings: Interval | None = None
    interval: Interval | None = None
    share: float | None = None
    p_value: float | None = None
    needed: Needed | None = None
    verdict: Verdict
    reason: str = ""


class JudgedClaim(Frozen):
    """A claim with its verdict: that of its weakest part.

    `number` is its place among all claims, and `share` is that of the resamples, each part's
    moved back by its shift, in which all parts are above zero at once. `method` is that of the
    intervals over images; None if none of its parts has one. `p_value` is None unless all of its
    parts have one; `survives_holm` says whether its verdict stays if all claims of its paper that
    have a p-value may err together at 5 % (`significance.holm`), and `needed` what would decide it.
    """

    name: str
    number: int
    preset: str
    statement: str
    source: str
    kind: str
    table: str
    verdict: Verdict
    share: float | None
    resamples: int | None
    # Files that do not say were written when there was one method.
    method: Method | None = "percentile"
    p_value: float | None = None
    survives_holm: bool | None = None
    needed: Needed | None = None
    parts: tuple[JudgedPart, ...]
    origin: Record


def write_claims(claims: list[JudgedClaim], results_dir: Path) -> None:
    """Write a file for each claim into `claims/` below `results/<preset>`, and no others there."""
    with atomic_folder(results_dir / FOLDER) as folder:
        for claim in claims:
            write_json(folder / f"{claim.name}.json", claim.model_dump(mode="json"))


def read_claims(grid: Grid, results: Results, results_dir: Path) -> list[JudgedClaim]:
    """Read the claims that were judged, in the order of their files; none if none were.

    Args:
        results: the metric files of today; a claim that was judged by others is refused.

    Raises:
        UserError: a file is damaged, of another preset, or older than a number that it is about.
    """
    found = []
    for path in (results_dir / FOLDER).glob("*.json"):
        claim = _read(path)
        if (claim.name, claim.preset) != (path.stem, grid.name):
            raise UserError(
                f"{path}: is of claim {claim.name!r} of preset {claim.preset!r}; "
                "judge the claims again"
            )
        _check_numbers(path, claim, grid, results)
        _check_trials(path, claim, grid, results)
        found.append(claim)
    return sorted(found, key=lambda claim: claim.number)


def claims_as_data(claims: list[JudgedClaim]) -> list[dict[str, Any]]:
    """Return the claims as plain data for machines, without their cells and origins."""
    dropped: Any = {"origin": True, "parts": {"__all__": {"cells", "factors", "offset"}}}
    return [claim.model_dump(mode="json", exclude=dropped) for claim in claims]


def _read(path: Path) -> JudgedClaim:
    try:
        return JudgedClaim.model_validate(read_json(path))
    except ValidationError as error:
        raise UserError(
            f"{path}: not of a claim ({first_problem(error)}); judge the claims again"
        ) from None


def _check_numbers(path: Path, claim: JudgedClaim, grid: Grid, results: Results) -> None:
    asked = {e.path for e in grid.evaluations} | {cost.path for cost in grid.costs}
    today = {source.path: result.values for source, result in results.items()}
    for part in claim.parts:
        for cell in part.cells:
            for file, value in cell.trials.items():
                if file not in asked:
                    raise OtherRunError(
                        f"{path}: was judged by {file}, which is not asked for here; give the same "
                        "--set as then, or judge the claims again"
                    )
                now = today.get(file, {}).get(cell.key)
                if value != now:
                    raise UserError(
                        f"{path}: was judged by {cell.key} {value} of {file}, which now says "
                        f"{now}; judge the claims again"
                    )


def _check_trials(path: Path, claim: JudgedClaim, grid: Grid, results: Results) -> None:
    """Refuse a claim if there are trials now that were not when it was judged, or the reverse."""
    if claim.table not in grid.tables:
        return
    table = grid.tables[claim.table]
    asked = {(cell.row, cell.column): cell for cell in grid.cells if cell.table == claim.table}
    for cell in (cell for part in claim.parts for cell in part.cells):
        place = cell.row, cell.column
        if not (cell.row in table.rows and cell.column in table.columns):
            raise UserError(f"{path}: table {claim.table} has no {place}; judge the claims again")
        now = judged_cell(asked.get(place), table, place, results)
        if (cell.trials, cell.why_not) != (now.trials, now.why_not):
            then, today = (each.why_not or count(len(each.trials), "trial") for each in (cell, now))
            raise UserError(
                f"{path}: {cell.title}: {then} when it was judged, {today} now; "
                "judge the claims again"
            )
