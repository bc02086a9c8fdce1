"""Which claims hold, by a rule: the interval of each difference lies above zero, or it does not."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pointrend_repro.base.provenance import cpu_name, start_record
from pointrend_repro.config.tables import Table
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.reporting.claims import METHOD
from pointrend_repro.reporting.claims.contrasts import CellName, Contrast, contrasts
from pointrend_repro.reporting.claims.errors import errors_of
from pointrend_repro.reporting.claims.files import JudgedClaim, JudgedPart, Verdict
from pointrend_repro.reporting.claims.intervals import (
    LEVEL,
    Interval,
    combine,
    share_above,
)
from pointrend_repro.reporting.claims.measuring import Measured, Values, measure
from pointrend_repro.reporting.claims.needed_trials import needed_trials
from pointrend_repro.reporting.claims.schema import Claim, Claims
from pointrend_repro.reporting.claims.significance import significance_of, with_holm
from pointrend_repro.reporting.results import Record, Results

# The first that any part has is that of the claim: one wrong part makes all of it wrong.
_WEAKEST_FIRST: tuple[Verdict, ...] = (
    "no-verdict",
    "does-not-hold",
    "not-measured",
    "not-significant",
    "holds",
)


def judge_claims(grid: Grid, claims: Claims, results: Results) -> list[JudgedClaim]:
    """Judge each claim about a table of the preset by the numbers that are there."""
    finish = start_record(
        settings={"level": LEVEL, "images_interval": METHOD, "preset": grid.name},
        seed=None,
        device=f"cpu ({cpu_name()})",
    )
    cells = {(cell.table, cell.row, cell.column): cell for cell in grid.cells}
    judged = []
    for name, claim in claims.claims.items():
        if claim.table not in grid.tables:
            continue
        table = claims.tables[claim.table]
        there = {
            (row, column): measure(
                grid, cells.get((claim.table, row, column)), table, (row, column), results
            )
            for row in claim.rows
            for column in claim.columns
        }
        parts = [_judge(grid, c, table, there) for c in contrasts(claim, table)]
        judged.append((name, claim, parts))
    record = Record.model_validate(finish())
    return with_holm(
        [
            _whole(name, claim, parts, preset=grid.name, number=number, record=record)
            for number, (name, claim, parts) in enumerate(judged)
        ],
        grid.table_papers,
    )


def _judge(
    grid: Grid, contrast: Contrast, table: Table, there: Mapping[CellName, Measured]
) -> tuple[JudgedPart, Values | None]:
    """Judge one difference; return with it the resamples, if there are any, moved around it."""
    cells = {name: there[name] for name in contrast.factors}
    part = JudgedPart(
        text=contrast.text,
        unit=contrast.unit,
        paper=contrast.in_paper(table),
        factors=tuple(contrast.factors.values()),
        offset=contrast.offset,
        cells=tuple(cell.judged for cell in cells.values()),
        verdict="not-measured",
    )
    for cell in cells.values():
        if cell.judged.why_not:
            reason = f"{cell.judged.title}: {cell.judged.why_not}"
            return part.model_copy(update={"reason": reason}), None
    if reason := _other_data(cells.values()):
        return part.model_copy(update={"reason": reason}), None
    difference = contrast.of(lambda name: statistics.median(cells[name].numbers))
    if contrast.counted:
        verdict: Verdict = "holds" if difference > 0 else "does-not-hold"
        reason = _reason_of_counts(contrast, cells)
        exact = {"difference": difference, "verdict": verdict, "reason": reason}
        return part.model_copy(update=exact), None
    return _with_intervals(part, difference, contrast, cells, grid.preset.has_verdicts)


def _other_data(cells: Iterable[Measured]) -> str:
    """Say that numbers are not of the same data, which nothing can be told from; or nothing."""
    seen: dict[tuple[str, str], str] = {}
    for dataset, part, fingerprint in sorted(set().union(*(cell.data for cell in cells))):
        if seen.setdefault((dataset, part), fingerprint) != fingerprint:
            return f"made from different data: {dataset}, {part.replace('_', ' ')}"
    return ""


def _with_intervals(
    part: JudgedPart,
    difference: float,
    contrast: Contrast,
    cells: Mapping[CellName, Measured],
    makes_claims: bool,
) -> tuple[JudgedPart, Values | None]:
    errors = errors_of(difference, contrast, cells)
    images, trainings = errors.over_images(), errors.over_trainings()
    known = [interval for interval in (images and images.interval, trainings) if interval]
    interval = combine(difference, known)
    verdict = _verdict(interval) if makes_claims else "no-verdict"
    found: dict[str, Any] = {
        "difference": difference,
        "images": images and images.interval,
        "shift": images and images.shift,
        "trainings": trainings,
        "interval": interval,
        "share": images and share_above(images.centred),
        "verdict": verdict,
        "reason": _reason(known, has_images=images is not None),
    }
    if makes_claims:
        found["p_value"] = errors.p_value()
    if verdict == "not-significant":
        found["needed"] = needed_trials(difference, found["images"], errors.by_model)
    return part.model_copy(update=found), images and images.centred


def _reason_of_counts(contrast: Contrast, cells: Mapping[CellName, Measured]) -> str:
    """Say that counts are exact, and how many times the one is the other where that is asked."""
    first, *others = (cell.numbers[0] for cell in cells.values())
    if len(others) != 1 or set(contrast.factors.values()) == {1.0, -1.0} or not others[0]:
        return "counted: exact"
    return f"counted: exact; {first / others[0]:.1f} times"


def _verdict(interval: Interval | None) -> Verdict:
    if interval is None or interval.low <= 0 <= interval.high:
        return "not-significant"
    return "holds" if interval.low > 0 else "does-not-hold"


def _reason(known: Sequence[Interval], *, has_images: bool) -> str:
    if len(known) == 2:
        return ""
    if has_images:
        return "a single trial: the variation between trainings is not accounted for"
    if known:
        return "not resampled: the choice of images is not accounted for"
    return "a single trial, not resampled: nothing says how sure it is"


def _whole(
    name: str,
    claim: Claim,
    parts: Sequence[tuple[JudgedPart, Values | None]],
    *,
    preset: str,
    number: int,
    record: Record,
) -> JudgedClaim:
    resampled = [values for _, values in parts if values is not None]
    verdicts = [part.verdict for part, _ in parts]
    lengths = {len(values) for values in resampled}
    known = len(resampled) == len(parts) and len(lengths) == 1
    return JudgedClaim(
        name=name,
        number=number,
        preset=preset,
        statement=claim.statement,
        source=claim.source,
        kind=claim.kind,
        table=claim.table,
        verdict=min(verdicts, key=_WEAKEST_FIRST.index),
        share=share_above(np.min(resampled, axis=0)) if known else None,
        resamples=lengths.pop() if known else None,
        method=METHOD if resampled else None,
        **significance_of([part for part, _ in parts]),
        parts=tuple(part for part, _ in parts),
        origin=record,
    )
