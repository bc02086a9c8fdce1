"""How small a level of error a verdict bears, alone and among all claims of a paper.

A p-value here is that of the interval that decides: the level at which it no longer excludes zero.
So no verdict and its p-value can contradict each other.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pointrend_repro.reporting.claims.files import JudgedClaim, JudgedPart
from pointrend_repro.reporting.claims.intervals import LEVEL, Interval
from pointrend_repro.reporting.claims.needed_trials import needed_of_claim

# Below this nobody asks, and 1000 resamples say nothing.
_SMALLEST = 1e-6


def p_value(
    difference: float, interval_at: Callable[[float], Interval | None], *, resamples: int | None
) -> float | None:
    """Return the two-sided p-value of a difference: that of its being zero.

    It is the smallest `1 - level` for which the interval of that level does not hold zero.

    Args:
        difference: as measured.
        interval_at: the interval that decides, at a level. It grows with the level.
        resamples: in how many the interval's error over images was counted, without those that had
            nothing to score. They know nothing of levels beyond the outermost of them, so that no
            p-value is below 2 / (resamples + 1).
            None if there are none.

    Returns:
        None if there is no interval at all.
    """
    if interval_at(LEVEL) is None:
        return None
    low, high = _SMALLEST, 1.0
    if difference == 0:
        return high
    while high - low > 1e-4 * high:
        middle = (low * high) ** 0.5
        interval = interval_at(1 - middle)
        excludes = interval is not None and not interval.low <= 0 <= interval.high
        low, high = (low, middle) if excludes else (middle, high)
    return max(high, 2 / (resamples + 1) if resamples else 0.0)


def p_of_claim(parts: Sequence[tuple[float, float]]) -> float:
    """Return the p-value of a claim of several differences that must all be above zero.

    That it holds is shown by showing each: an intersection-union test, whose p-value is the largest
    of theirs. That it does not is shown by showing one of them to be below zero, with as many tries
    as there are differences: their smallest, times their number (Bonferroni).

    Args:
        parts: difference and p-value of each.
    """
    if all(difference > 0 for difference, _ in parts):
        return max(p for _, p in parts)
    return min(1.0, len(parts) * min(p for difference, p in parts if difference <= 0))


def holm(p_values: Sequence[float]) -> list[bool]:
    """Return which of several tests stay significant if all of them together may err at 1 - LEVEL.

    Holm (1979): the smallest p-value is compared with (1 - LEVEL) / n, the next with
    (1 - LEVEL) / (n - 1), and so on; from the first that is above, none is significant.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    survives = [False] * len(p_values)
    for rank, index in enumerate(order):
        if p_values[index] > (1 - LEVEL) / (len(p_values) - rank):
            break
        survives[index] = True
    return survives


def significance_of(parts: Sequence[JudgedPart]) -> dict[str, Any]:
    """Return a claim's p-value and what would decide it; none where a part is not tested."""
    tested = [part for part in parts if part.p_value is not None]
    if len(tested) < len(parts):
        return {}
    known = [(part.difference or 0.0, part.p_value or 0.0, part) for part in tested]
    found: dict[str, Any] = {"p_value": p_of_claim([(d, p) for d, p, _ in known])}
    if all(part.verdict in ("holds", "not-significant") for part in tested):
        found["needed"] = needed_of_claim(
            [(d, part.verdict == "holds", part.needed) for d, _, part in known]
        )
    return found


def with_holm(claims: Sequence[JudgedClaim], table_papers: Mapping[str, str]) -> list[JudgedClaim]:
    """Say of each claim with a p-value whether its verdict survives Holm's correction.

    The claims of one paper share an error rate. Those of another do not count: a verdict would else
    depend on which papers were chosen together.

    Args:
        claims: of any papers.
        table_papers: the paper of each table.
    """
    tested = [claim for claim in claims if claim.p_value is not None]
    survives: dict[str, bool] = {}
    for paper in {table_papers[claim.table] for claim in tested}:
        of_paper = [claim for claim in tested if table_papers[claim.table] == paper]
        found = holm([claim.p_value or 0.0 for claim in of_paper])
        survives |= {claim.name: each for claim, each in zip(of_paper, found, strict=True)}
    return [
        claim.model_copy(update={"survives_holm": survives.get(claim.name)}) for claim in claims
    ]
