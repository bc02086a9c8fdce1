"""Intervals: they cover as often as they say, and are what the textbook says."""

import math
import statistics

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointrend_repro.reporting.claims.intervals import (
    Interval,
    combine,
    images_error,
    share_above,
    trainings_interval,
)
from pointrend_repro.reporting.claims.student import t_quantile


def test_the_longer_arm_of_the_percentiles_of_the_resamples_that_have_a_value() -> None:
    values = np.concatenate([np.arange(1001.0), np.full(500, np.nan)])
    np.random.default_rng(0).shuffle(values)
    error = images_error(400.0, values)
    assert error is not None
    assert error.interval == pytest.approx((400 - 575, 400 + 575))
    assert error.shift == pytest.approx(100)
    assert np.nanmedian(error.centred) == pytest.approx(400)
    assert np.isnan(error.centred).sum() == 500
    assert images_error(1.0, np.array([1.0, np.nan])) is None
    assert share_above(np.array([-1.0, 0.0, 2.0, np.nan])) == pytest.approx(1 / 3)


@settings(deadline=None)
@given(
    st.floats(-50, 50),
    st.lists(st.floats(-50, 50), min_size=1, max_size=50),
)
def test_an_interval_over_images_is_centred_and_holds_all_that_percentiles_do(
    difference: float, values: list[float]
) -> None:
    """Wherever the resamples lie: on one side of the difference, or all beyond it."""
    error = images_error(difference, np.array(values))
    assert error is not None
    low, high = error.interval
    assert low <= difference <= high
    assert (low + high) / 2 == pytest.approx(difference, abs=1e-9)
    percentiles = np.quantile(values, [0.025, 0.975])
    assert low <= percentiles[0] + 1e-9
    assert percentiles[1] - 1e-9 <= high


def test_trainings_are_welchs_interval() -> None:
    """Two models of two trials: no median differs from the mean."""
    first, second = [36.0, 36.4], [35.0, 35.1]
    interval = trainings_interval(1.15, [first, [-x for x in second]])
    a, b = statistics.variance(first) / 2, statistics.variance(second) / 2
    freedom = (a + b) ** 2 / (a**2 + b**2)
    assert math.floor(freedom) == 1
    assert interval is not None
    cauchy = math.tan(0.475 * math.pi)  # t with one degree of freedom
    assert interval.high - 1.15 == pytest.approx(cauchy * math.sqrt(a + b), abs=1e-9)
    assert 1.15 - interval.low == pytest.approx(interval.high - 1.15)


def test_a_single_trial_and_equal_trials() -> None:
    assert trainings_interval(1.0, [[3.0], [2.0, 2.1]]) is None
    assert trainings_interval(1.0, [[3.0, 3.0], [2.0, 2.0]]) == (1.0, 1.0)
    # Many trials: no t below the normal quantile.
    many = np.random.default_rng(0).normal(size=200).tolist()
    interval = trainings_interval(0.0, [many])
    assert interval is not None
    # 1.972 for 199 degrees of freedom; wider for the median.
    expected = 1.97196 * statistics.stdev(many) / math.sqrt(200) * math.sqrt(math.pi / 2)
    assert interval.high == pytest.approx(expected, rel=1e-5)


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


def test_an_interval_beside_the_difference_is_not_folded_around_it() -> None:
    """Its error is no larger for lying elsewhere."""
    assert combine(0.1, [Interval(0.3, 0.9)]) == pytest.approx((0.3, 0.9))
    assert combine(0.1, [Interval(0.3, 0.9), Interval(-0.3, 0.5)]) == pytest.approx((0.1, 1.1))


ends = st.tuples(st.floats(-9, 9), st.floats(-9, 9)).map(lambda pair: Interval(*sorted(pair)))


@settings(deadline=None)
@given(st.floats(-9, 9), ends, st.lists(ends, max_size=3))
def test_a_further_error_about_the_difference_never_narrows(
    difference: float, first: Interval, others: list[Interval]
) -> None:
    both = combine(difference, [first, *others])
    wider = combine(difference, [first, *others, Interval(difference - 1, difference + 1)])
    assert both is not None
    assert wider is not None
    assert wider.low <= both.low + 1e-9
    assert both.high - 1e-9 <= wider.high


def test_errors_add_as_simulated_with_a_shift() -> None:
    """A known shift with one error, and a second error without: the 95 % range of their sum."""
    rng = np.random.default_rng(0)
    sums = 2.0 + rng.normal(0.5, 0.3, 400_000) + rng.normal(0, 0.4, 400_000)
    one = Interval(2.5 - 1.96 * 0.3, 2.5 + 1.96 * 0.3)
    other = Interval(2.0 - 1.96 * 0.4, 2.0 + 1.96 * 0.4)
    assert combine(2.0, [one, other]) == pytest.approx(np.quantile(sums, [0.025, 0.975]), abs=0.01)


# As printed in NIST's handbook, table 1.3.6.7.2, column 0.975; infinity is the normal's.
NIST = {1: 12.706, 2: 4.303, 5: 2.571, 20: 2.086, 21: 2.080, 30: 2.042, 60: 2.000, 100: 1.984}


@pytest.mark.parametrize(("freedom", "printed"), NIST.items())
def test_students_t_is_the_printed_table_and_goes_on(freedom: int, printed: float) -> None:
    assert round(t_quantile(freedom, level=0.95), 3) == printed


@settings(deadline=None)
@given(st.integers(1, 300), st.sampled_from([0.5, 0.8, 0.95, 0.999]))
def test_students_t_is_the_incomplete_beta_functions(freedom: int, level: float) -> None:
    quantile = mpmath.mpf(t_quantile(freedom, level=level))
    outside = mpmath.betainc(
        mpmath.mpf(freedom) / 2, 0.5, 0, freedom / (freedom + quantile**2), regularized=True
    )
    assert float(1 - outside) == pytest.approx(level, abs=1e-12)


def test_students_t_falls_to_the_normal_distributions() -> None:
    normal = statistics.NormalDist().inv_cdf(0.975)
    assert normal < t_quantile(10_000, level=0.95) < normal + 3e-4
