"""Numbers as people read them."""

import pytest

from pointrend_repro.reporting.formats import between, device, printed


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


@pytest.mark.parametrize(
    ("recorded", "text"),
    [
        ("cpu (AMD EPYC, 1 threads)", "cpu (AMD EPYC, 1 thread)"),
        ("2 x cpu (A, 1 threads)", "2 x cpu (A, 1 thread)"),
        ("cpu (AMD EPYC, 11 threads)", "cpu (AMD EPYC, 11 threads)"),
        ("cuda (NVIDIA H200)", "cuda (NVIDIA H200)"),
    ],
)
def test_one_thread_is_not_several(recorded: str, text: str) -> None:
    assert device(recorded) == text


def test_ends_near_zero_have_as_many_digits() -> None:
    assert between([0.04, 0.06]) == "0.04–0.06"
    assert between([0.0, 13.0]) == "0.0–13.0"
    assert between([0.004, 13.0]) == "0.004–13.0"
    assert between([35.12, 35.34]) == "35.1–35.3"
    assert between([0.004, 0.004]) == "0.004"
    assert between([0.0011, 0.0023]) == "0.001–0.002"
