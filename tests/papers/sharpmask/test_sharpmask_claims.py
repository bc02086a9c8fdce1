"""What SharpMask claims holds of the numbers that it prints, where it prints them."""

import pytest

from printed_claims import claims_of, printed_gains, require_to_hold

CLAIMS = claims_of("sharpmask", "sharpmask_")
# No numbers are printed of these: claims of figures and of text.
UNPRINTED = {
    "sharpmask_capacity_pays",
    "sharpmask_both_connections_are_needed",
    "sharpmask_one_connection_gains_nothing",
}


@pytest.mark.parametrize("name", sorted(set(CLAIMS) - UNPRINTED))
def test_it_holds_of_the_printed_numbers(name: str) -> None:
    require_to_hold(CLAIMS[name])


@pytest.mark.parametrize("name", sorted(UNPRINTED))
def test_nothing_is_printed_of_the_others(name: str) -> None:
    assert not any(printed_gains(CLAIMS[name]))
