"""Which claims hold, by a rule: the interval of each difference lies above zero, or it does not."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pointrend_repro.base.provenance import cpu_name, start_record
from pointrend_repro.config.tables import Table
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.reporting.claims import METHOD
from pointrend_repro.reporting.claims.contrasts import CellName, Contrast, contrasts
from pointrend_repro.reporting.claims.errors import Errors, errors_of
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

# Intervals over fewer images than these are too narrow: 95 % ones hold the truth in 92 % of cases
# with 10, in 87 % with 5 and in half of them with 2 (docs/claims.md).
MIN_IMAGES = 20


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
    if contrast.counted:
        difference = contrast.of(lambda name: cells[name].numbers[0])
        verdict: Verdict = "holds" if difference > 0 else "does-not-hold"
        reason = _reason_of_counts(contrast, cells)
        exact = {"difference": difference, "verdict": verdict, "reason": reason}
        return part.model_copy(update=exact), None
    return _with_intervals(part, contrast, cells, makes_claims=grid.preset.has_verdicts)


def _other_data(cells: Iterable[Measured]) -> str:
    """Say that numbers are not of the same data, which nothing can be told from; or nothing."""
    seen: dict[tuple[str, str], str] = {}
    for dataset, part, fingerprint in sorted(set().union(*(cell.data for cell in cells))):
        if seen.setdefault((dataset, part), fingerprint) != fingerprint:
            return f"made from different data: {dataset}, {part.replace('_', ' ')}"
    return ""


def _with_intervals(
    part: JudgedPart, contrast: Contrast, cells: Mapping[CellName, Measured], *, makes_claims: bool
) -> tuple[JudgedPart, Values | None]:
    errors = errors_of(contrast, cells)
    images, trainings = errors.over_images(), errors.over_trainings()
    known = [interval for interval in (images and images.interval, trainings) if interval]
    interval = combine(errors.difference, known)
    reason = _too_little(errors, cells.values())
    verdict: Verdict = "not-significant" if reason else _verdict(interval)
    found: dict[str, Any] = {
        "difference": errors.difference,
        "by_trial": errors.by_trial,
        "images": images and images.interval,
        "shift": images and images.shift,
        "trainings": trainings,
        "interval": interval,
        "share": images and share_above(images.centred),
        "verdict": verdict if makes_claims else "no-verdict",
        "reason": reason or _reason(errors, has_images=images is not None),
    }
    if makes_claims and not reason:
        found["p_value"] = errors.p_value()
        if verdict == "not-significant":
            found["needed"] = needed_trials(errors.difference, found["images"], errors.by_model)
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


def _too_little(errors: Errors, cells: Iterable[Measured]) -> str:
    """Say that no verdict can rest on what was trained or looked at; or nothing."""
    images = min((cell.images for cell in cells if cell.images is not None), default=None)
    if images is not None and images < MIN_IMAGES:
        return f"too few images to judge: {images}, and {MIN_IMAGES} are needed"
    if errors.is_trained_once and errors.resampled is None:
        return "a single training, not resampled: nothing says how sure it is"
    if errors.is_trained_once:
        return "a single training: the interval is of the images alone, and other seeds may differ"
    return ""


def _reason(errors: Errors, *, has_images: bool) -> str:
    if has_images:
        return ""
    if errors.by_model:
        return "not resampled: the choice of images is not accounted for"
    return "not resampled: nothing says how sure it is"


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
