"""Whether what a paper claims holds of the numbers that it prints."""

import itertools
from collections.abc import Iterator
from typing import Any

from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.config.reading import load_table
from pointrend_repro.reporting.claims.schema import load_claims


def claims_of(paper: str, prefix: str) -> dict[str, Any]:
    """The claims of a paper by name, without those about tables of no paper."""
    claims = load_claims(CONFIG_DIR, [paper]).claims
    return {name: claim for name, claim in claims.items() if name.startswith(prefix)}


def printed_gains(claim: Any) -> list[list[float]]:
    """For each column, the differences of its pairs of rows that have two printed numbers."""
    return [list(_differences(claim, column)) for column in claim.columns]


def require_to_hold(claim: Any) -> None:
    gains = printed_gains(claim)
    assert all(gains)
    for of_column in gains:
        if claim.kind == "greater":
            assert min(of_column) > claim.by
        if claim.kind == "within":
            assert max(map(abs, of_column)) < claim.within
        if claim.kind == "gains_less":
            assert max(of_column) < claim.than
    if claim.kind == "gain_greater":
        for larger, smaller in itertools.pairwise(gains):
            assert all(a > b for a, b in zip(larger, smaller, strict=True))


def _differences(claim: Any, column: str) -> Iterator[float]:
    rows, times = load_table(claim.table).rows, getattr(claim, "times", 1)
    for better, worse in claim.pairs:
        one, other = rows[better].paper, rows[worse].paper
        if column in one and column in other:
            yield round(one[column] - times * other[column], 6)
