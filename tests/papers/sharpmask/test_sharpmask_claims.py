"""What SharpMask claims holds of the numbers that it prints, where it prints them."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.config.reading import load_table
from pointrend_repro.reporting.claims.schema import load_claims

ALL = load_claims(CONFIG_DIR, ["sharpmask"]).claims
CLAIMS = {name: claim for name, claim in ALL.items() if name.startswith("sharpmask_")}
# No numbers are printed of these: claims of figures and of text.
UNPRINTED = {
    "sharpmask_capacity_pays",
    "sharpmask_both_connections_are_needed",
    "sharpmask_one_connection_gains_nothing",
}


def differences(claim: Any, column: str) -> Iterator[float]:
    rows = load_table(claim.table).rows
    for better, worse in claim.pairs:
        one, other = rows[better].paper, rows[worse].paper
        if column in one and column in other:
            yield round(one[column] - other[column], 6)


@pytest.mark.parametrize("name", sorted(set(CLAIMS) - UNPRINTED))
def test_it_holds_of_the_printed_numbers(name: str) -> None:
    claim: Any = CLAIMS[name]
    gains = [list(differences(claim, column)) for column in claim.columns]
    assert all(gains)
    for of_column in gains:
        if claim.kind == "greater":
            assert min(of_column) > claim.by
        if claim.kind == "within":
            assert max(map(abs, of_column)) < claim.within
    if claim.kind == "gain_greater":
        for larger, smaller in itertools.pairwise(gains):
            assert all(a > b for a, b in zip(larger, smaller, strict=True))


@pytest.mark.parametrize("name", sorted(UNPRINTED))
def test_nothing_is_printed_of_the_others(name: str) -> None:
    claim: Any = CLAIMS[name]
    assert not any(list(differences(claim, column)) for column in claim.columns)
