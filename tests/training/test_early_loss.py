"""A loss that does not fall in the first hundred updates is told once, and stops nothing."""

import logging
from collections.abc import Callable

import pytest

from pointrend_repro.training.early import EarlyLoss


def warnings(caplog: pytest.LogCaptureFixture, loss: Callable[[int], float], first: int = 0) -> int:
    watch = EarlyLoss()
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        for iteration in range(first, 300):
            watch.see(iteration, loss(iteration))
    return len(caplog.records)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (lambda k: 3.0 - k / 200 + (k % 7) / 10, 0),
        (lambda _: 3.0, 1),
        (lambda k: 3.0 + k / 200, 1),
        (lambda k: 3.0 + (k % 7) / 10 + (k > 60), 1),
        (lambda k: float("nan") if k == 3 else 2.0, 1),
    ],
)
def test_only_a_loss_that_does_not_fall_is_told(
    loss: Callable[[int], float], expected: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert warnings(caplog, loss) == expected


def test_a_training_that_continues_is_not_judged(caplog: pytest.LogCaptureFixture) -> None:
    assert warnings(caplog, lambda _: 3.0, first=40) == 0
