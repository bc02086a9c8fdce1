"""How many trials would decide: as many as simulations with so many trials say."""

import numpy as np
import pytest

from pointrend_repro.reporting.claims.intervals import Interval, trainings_interval
from pointrend_repro.reporting.claims.needed_trials import Needed, needed_of_claim, needed_trials

THREE = ([0.0, 0.3, 0.6], [0.0, -0.3, -0.6])  # each with a standard deviation of 0.3


def share_decided(effect: float, trials: int) -> float:
    """How often trials of models with this effect and spread have an interval above zero."""
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(1000):
        first, second = effect + rng.normal(0, 0.3, trials), rng.normal(0, 0.3, trials)
        difference = float(np.median(first) - np.median(second))
        interval = trainings_interval(difference, [first.tolist(), (-second).tolist()])
        assert interval is not None
        found += interval.low > 0
    return found / 1000


@pytest.mark.parametrize("effect", [0.25, 0.5])
def test_so_many_trials_decide_in_four_of_five_cases_or_a_little_more(effect: float) -> None:
    needed = needed_trials(effect, None, THREE)
    assert needed is not None
    assert needed.trials is not None
    assert 0.75 < share_decided(effect, needed.trials) < 0.92
    assert share_decided(effect, needed.trials // 2) < 0.7


def test_no_trials_help_where_the_images_hide_it() -> None:
    assert needed_trials(0.5, Interval(-0.5, 1.5), THREE) == Needed(trials=None, images=4.0)
    assert needed_trials(0.0, None, THREE) == Needed(trials=None)
    assert needed_trials(1e-3, None, THREE) == Needed(trials=None)  # more than anybody trains
    assert needed_trials(0.5, None, [[1.0], [0.0]]) is None


def test_images_that_hide_a_part_of_it_cost_trials() -> None:
    alone = needed_trials(0.5, None, THREE)
    with_images = needed_trials(0.5, Interval(0.2, 0.8), THREE)
    assert alone is not None
    assert with_images is not None
    assert with_images.trials is not None
    assert alone.trials is not None
    assert with_images.trials > alone.trials


def test_a_claim_takes_as_many_as_its_last_difference_or_falls_with_its_first() -> None:
    few, many, never = Needed(trials=5), Needed(trials=40), Needed(trials=None, images=2.0)
    assert needed_of_claim([(1.0, True, None), (0.5, False, few), (0.2, False, many)]) == many
    assert needed_of_claim([(0.5, False, few), (0.1, False, never)]) == never
    assert needed_of_claim([(0.5, False, few), (-0.1, False, many), (-0.2, False, never)]) == many
    assert needed_of_claim([(0.5, False, None), (0.2, False, few)]) is None
