"""What SharpMask claims holds of the numbers that it prints, where it prints them."""

import pytest

from pointrend_repro.config.reading import load_table
from printed_claims import claims_of, printed_gains, require_to_hold

CLAIMS = claims_of("sharpmask", "sharpmask_")
# No numbers are printed of these: claims of figures and of text.
UNPRINTED = {
    "sharpmask_capacity_pays",
    "sharpmask_both_connections_are_needed",
    "sharpmask_one_connection_gains_nothing",
}
OF_A_FIGURE = "sharpmask_proposals_saturate"


@pytest.mark.parametrize("name", sorted(set(CLAIMS) - UNPRINTED - {OF_A_FIGURE}))
def test_it_holds_of_the_printed_numbers(name: str) -> None:
    require_to_hold(CLAIMS[name])


@pytest.mark.parametrize("name", sorted(UNPRINTED))
def test_nothing_is_printed_of_the_others(name: str) -> None:
    assert not any(printed_gains(CLAIMS[name]))


def test_nothing_is_printed_of_the_figure() -> None:
    claim = CLAIMS[OF_A_FIGURE]
    rows = load_table(claim.table).rows
    assert not any(rows[name].paper for name in claim.rows)
