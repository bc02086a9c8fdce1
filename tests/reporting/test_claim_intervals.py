"""Intervals: they cover as often as they say, and are what the textbook says."""

import math
import statistics

import numpy as np
import pytest

from pointrend_repro.reporting.claims.intervals import (
    Interval,
    combine,
    images_interval,
    share_above,
    trainings_interval,
)


def test_percentiles_of_the_resamples_that_have_a_value() -> None:
    values = np.concatenate([np.arange(1001.0), np.full(500, np.nan)])
    np.random.default_rng(0).shuffle(values)
    assert images_interval(values) == pytest.approx((25.0, 975.0))
    assert images_interval(np.array([1.0, np.nan])) is None
    assert share_above(np.array([-1.0, 0.0, 2.0, np.nan])) == pytest.approx(1 / 3)


def test_trainings_are_welchs_interval() -> None:
    """Two models of two trials: no median differs from the mean."""
    first, second = [36.0, 36.4], [35.0, 35.1]
    interval = trainings_interval(1.15, [first, [-x for x in second]])
    a, b = statistics.variance(first) / 2, statistics.variance(second) / 2
    freedom = (a + b) ** 2 / (a**2 + b**2)
    assert math.floor(freedom) == 1
    assert interval is not None
    assert interval.high - 1.15 == pytest.approx(12.706 * math.sqrt(a + b), abs=1e-9)
    assert 1.15 - interval.low == pytest.approx(interval.high - 1.15)


def test_a_single_trial_and_equal_trials() -> None:
    assert trainings_interval(1.0, [[3.0], [2.0, 2.1]]) is None
    assert trainings_interval(1.0, [[3.0, 3.0], [2.0, 2.0]]) == (1.0, 1.0)
    # Many trials: no t below the normal quantile.
    many = np.random.default_rng(0).normal(size=200).tolist()
    interval = trainings_interval(0.0, [many])
    assert interval is not None
    assert interval.high > 1.96 * statistics.stdev(many) / math.sqrt(200)


@pytest.mark.parametrize("trials", [2, 3, 5])
def test_trainings_interval_of_medians_covers(trials: int) -> None:
    """The difference of two medians is 1; 95 % of the intervals say so, or a little more."""
    rng = np.random.default_rng(trials)
    covered = 0
    for _ in range(2000):
        better, worse = rng.normal(1, 0.3, trials), rng.normal(0, 0.15, trials)
        difference = float(np.median(better) - np.median(worse))
        interval = trainings_interval(difference, [better.tolist(), (-worse).tolist()])
        assert interval is not None
        covered += interval.low <= 1 <= interval.high
    assert 0.94 < covered / 2000 <= 1


def test_independent_errors_add_as_squares() -> None:
    assert combine(1.0, []) is None
    assert combine(1.0, [Interval(0.5, 1.2)]) == pytest.approx((0.5, 1.2))
    assert combine(1.0, [Interval(0.7, 1.3), Interval(0.6, 1.4)]) == pytest.approx((0.5, 1.5))
