"""Which claims hold, by a rule: the interval of each difference lies above zero, or it does not."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointrend_repro.experiments import Cell, Evaluation, Grid
from pointrend_repro.provenance import cpu_name, start_record
from pointrend_repro.reporting.claims.contrasts import CellName, Contrast, contrasts
from pointrend_repro.reporting.claims.files import JudgedCell, JudgedClaim, JudgedPart, Verdict
from pointrend_repro.reporting.claims.intervals import (
    LEVEL,
    Interval,
    combine,
    images_interval,
    share_above,
    trainings_interval,
)
from pointrend_repro.reporting.claims.schema import Claim, Claims
from pointrend_repro.reporting.formats import count
from pointrend_repro.reporting.results import Record, Result, Results
from pointrend_repro.schema import Table

# The first that any part has is that of the claim: one wrong part makes all of it wrong.
_WEAKEST_FIRST: tuple[Verdict, ...] = (
    "no-verdict",
    "does-not-hold",
    "not-measured",
    "not-significant",
    "holds",
)

_Values = NDArray[np.float64]


@dataclass(frozen=True)
class _Measured:
    """What there is of one cell.

    Attributes:
        model: data set and variant, whose trials are trainings of their own.
        numbers: of each trial.
        resampled: the same on resampled images (trials, resamples), nan where there is nothing to
            score; None if a trial lacks it, or was resampled otherwise than the others.
        why_not: why trials are not there; empty if all are.
    """

    model: tuple[str, str]
    numbers: tuple[float, ...]
    resampled: _Values | None
    judged: JudgedCell


def judge_claims(grid: Grid, claims: Claims, results: Results) -> list[JudgedClaim]:
    """Judge each claim about a table of the preset by the numbers that are there."""
    finish = start_record(
        settings={"level": LEVEL, "preset": grid.name}, seed=None, device=f"cpu ({cpu_name()})"
    )
    cells = {(cell.table, cell.row, cell.column): cell for cell in grid.cells}
    judged = []
    for name, claim in claims.claims.items():
        if claim.table not in grid.tables:
            continue
        table = claims.tables[claim.table]
        there = {
            (row, column): _measure(
                cells.get((claim.table, row, column)), table, (row, column), results
            )
            for row in claim.rows
            for column in claim.columns
        }
        parts = [_judge(grid, c, table, there) for c in contrasts(claim, table)]
        judged.append((name, claim, parts))
    record = Record.model_validate(finish())
    return [
        _whole(name, claim, parts, preset=grid.name, number=number, record=record)
        for number, (name, claim, parts) in enumerate(judged)
    ]


def _measure(cell: Cell | None, table: Table, name: CellName, results: Results) -> _Measured:
    row, column = table.rows[name[0]], table.columns[name[1]]
    sources = cell.evaluations if cell else ()
    found = {
        source: value
        for source in sources
        if source in results and (value := results[source].values.get(column.value)) is not None
    }
    why_not = ""
    if cell is None:
        why_not = "not part of this preset"
    elif not sources:
        why_not = cell.not_run_because
    elif len(found) < len(sources):
        why_not = f"{len(found)} of {count(len(sources), 'trial')} measured" if found else "not run"
    else:  # what somebody has edited is no measurement
        why_not = next((why for source in found if (why := results[source].altered)), "")
    judged = JudgedCell(
        row=name[0],
        column=name[1],
        title=f"{row.title}, {column.title}",
        key=column.value,
        paper=row.paper.get(name[1]),
        trials={source.path: value for source, value in found.items()},
        why_not=why_not,
    )
    dataset = next((s.prediction.training.dataset for s in found if isinstance(s, Evaluation)), "")
    resampled = _resampled([results[source] for source in found], column.value)
    return _Measured((dataset, row.variant), tuple(found.values()), resampled, judged)


def _resampled(results: Sequence[Result], key: str) -> _Values | None:
    samples = [result.resampled for result in results]
    plans = {(s.resamples, s.seed) for s in samples if s and key in s.values}
    if None in samples or len(plans) != 1:
        return None
    rows = [[np.nan if v is None else v for v in s.values.get(key, ())] for s in samples if s]
    return np.array(rows) if len({len(row) for row in rows}) == 1 else None


def _judge(
    grid: Grid, contrast: Contrast, table: Table, there: Mapping[CellName, _Measured]
) -> tuple[JudgedPart, _Values | None]:
    """Judge one difference; return with it the difference on each resample, if that is known."""
    cells = {name: there[name] for name in contrast.factors}
    part = JudgedPart(
        text=contrast.text,
        unit=contrast.unit,
        paper=contrast.in_paper(table),
        factors=tuple(contrast.factors.values()),
        cells=tuple(cell.judged for cell in cells.values()),
        verdict="not-measured",
    )
    for cell in cells.values():
        if cell.judged.why_not:
            reason = f"{cell.judged.title}: {cell.judged.why_not}"
            return part.model_copy(update={"reason": reason}), None
    difference = contrast.of(lambda name: statistics.median(cells[name].numbers))
    if contrast.counted:
        verdict: Verdict = "holds" if difference > 0 else "does-not-hold"
        exact = {"difference": difference, "verdict": verdict, "reason": "counted: exact"}
        return part.model_copy(update=exact), None
    resampled = _difference_resampled(contrast, cells)
    images = None if resampled is None else images_interval(resampled)
    trainings = trainings_interval(difference, _by_model(contrast, cells))
    known = [interval for interval in (images, trainings) if interval]
    interval = combine(difference, known)
    makes_claims = grid.preset.warning is None
    found: dict[str, Any] = {
        "difference": difference,
        "images": images,
        "trainings": trainings,
        "interval": interval,
        "share": None if images is None or resampled is None else share_above(resampled),
        "verdict": _verdict(difference, interval) if makes_claims else "no-verdict",
        "reason": _reason(images, trainings),
    }
    return part.model_copy(update=found), resampled if images else None


def _difference_resampled(
    contrast: Contrast, cells: Mapping[CellName, _Measured]
) -> _Values | None:
    """The difference of the medians over the trials on each resample, (resamples,)."""
    resampled = {name: cell.resampled for name, cell in cells.items()}
    shapes = {None if values is None else values.shape[1] for values in resampled.values()}
    if None in shapes or len(shapes) > 1:
        return None
    medians = {name: np.median(v, axis=0) for name, v in resampled.items() if v is not None}
    terms = [factor * medians[name] for name, factor in contrast.factors.items()]
    return np.sum(terms, axis=0)


def _by_model(contrast: Contrast, cells: Mapping[CellName, _Measured]) -> list[list[float]]:
    """What each trial of each model adds to the difference."""
    models: dict[tuple[str, str], list[float]] = {}
    for name, factor in contrast.factors.items():
        cell = cells[name]
        sums = models.setdefault(cell.model, [0.0] * len(cell.numbers))
        for trial, value in enumerate(cell.numbers):
            sums[trial] += factor * value
    return list(models.values())


def _verdict(difference: float, interval: Interval | None) -> Verdict:
    low, high = interval or (difference, difference)
    if low > 0:
        return "holds"
    return "does-not-hold" if high <= 0 else "not-significant"


def _reason(images: Interval | None, trainings: Interval | None) -> str:
    if images and trainings:
        return ""
    if images:
        return "a single trial: other trainings are not accounted for"
    if trainings:
        return "not resampled: other images are not accounted for"
    return "a single trial, not resampled: by the medians alone"


def _whole(
    name: str,
    claim: Claim,
    parts: Sequence[tuple[JudgedPart, _Values | None]],
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
        parts=tuple(part for part, _ in parts),
        origin=record,
    )
