"""Numbers as people read them."""

import pytest

from pointrend_repro.reporting.formats import printed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (35.2, "35.2"),
        (77.38, "77.38"),
        (77.3, "77.3"),
        (33, "33"),
        (28.0, "28.0"),
        (0.008, "0.008"),
    ],
)
def test_a_papers_number_keeps_its_decimals(value: float, text: str) -> None:
    """Tables 3 and 4 of the 3D-FUTURE report differ in the second: 77.38 and 77.37."""
    assert printed(value) == text
