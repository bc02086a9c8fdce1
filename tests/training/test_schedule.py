import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointrend_repro.config.papers import load_paper
from pointrend_repro.settings.schedule import OptimizerSettings, ScheduleSettings
from pointrend_repro.training.schedule import learning_rate

# Supplement, section 1: "linear learning rate warmup over 1000 updates starting from a learning
# rate of 0.001"; COCO "60k / 20k / 10k updates at learning rates of 0.02 / 0.002 / 0.0002"; the
# 3x schedule "210k / 40k / 20k updates". Update (from 0) -> learning rate.
WARM_UP = {0: 0.001, 1: 0.001019, 250: 0.00575, 500: 0.0105, 999: 0.019981, 1000: 0.02}
COCO_RATES = {
    "1x": {59_999: 0.02, 60_000: 0.002, 79_999: 0.002, 80_000: 0.0002, 89_999: 0.0002},
    "3x": {209_999: 0.02, 210_000: 0.002, 249_999: 0.002, 250_000: 0.0002, 269_999: 0.0002},
}


@pytest.mark.parametrize("name", ["1x", "3x"])
def test_coco_schedules_are_the_papers(name: str) -> None:
    recipe = load_paper("pointrend").protocol["coco"]["instances"]
    schedule = recipe.schedules[name]
    for iteration, rate in (WARM_UP | COCO_RATES[name]).items():
        assert learning_rate(iteration, recipe.optimizer, schedule) == pytest.approx(rate)
    assert schedule.total_iters == max(COCO_RATES[name]) + 1


def test_updates_at_each_rate_of_the_1x_schedule() -> None:
    recipe = load_paper("pointrend").protocol["coco"]["instances"]
    schedule = recipe.schedules["1x"]
    rates = [
        learning_rate(i, recipe.optimizer, schedule) for i in range(0, schedule.total_iters, 1000)
    ]
    _, thousands = np.unique(np.round(rates[1:], 9), return_counts=True)
    assert thousands.tolist() == [10, 20, 59]  # the first thousand is the warm-up


def test_no_warm_up() -> None:
    optimizer = OptimizerSettings(base_lr=0.5, warmup_iters=0)
    assert learning_rate(0, optimizer, ScheduleSettings(total_iters=1)) == 0.5


def test_warm_up_never_starts_above_the_base_rate() -> None:
    optimizer = OptimizerSettings(base_lr=0.0001, warmup_iters=10, warmup_start_lr=0.001)
    schedule = ScheduleSettings(total_iters=20)
    assert [learning_rate(i, optimizer, schedule) for i in range(20)] == [0.0001] * 20


@st.composite
def recipes(draw: st.DrawFn) -> tuple[OptimizerSettings, ScheduleSettings]:
    base = draw(st.floats(1e-3, 1.0))
    optimizer = OptimizerSettings(
        base_lr=base,
        warmup_iters=draw(st.integers(0, 50)),
        warmup_start_lr=base * draw(st.floats(0.01, 1.0)),
    )
    drops = draw(st.lists(st.integers(1, 99), max_size=3, unique=True).map(sorted))
    return optimizer, ScheduleSettings(total_iters=100, lr_drop_iters=drops)


@given(recipes())
@settings(max_examples=50, deadline=None)
def test_rate_is_a_ramp_times_the_steps(recipe: tuple[OptimizerSettings, ScheduleSettings]) -> None:
    optimizer, schedule = recipe
    points = [0, optimizer.warmup_iters], [optimizer.warmup_start_lr, optimizer.base_lr]
    for iteration in range(schedule.total_iters):
        ramp = np.interp(iteration, *points) if optimizer.warmup_iters else optimizer.base_lr
        for drop in schedule.lr_drop_iters:
            ramp *= 0.1 if iteration >= drop else 1.0
        assert learning_rate(iteration, optimizer, schedule) == pytest.approx(ramp)


@given(recipes())
@settings(max_examples=50, deadline=None)
def test_rate_rises_in_the_warm_up_and_only_falls_after(
    recipe: tuple[OptimizerSettings, ScheduleSettings],
) -> None:
    optimizer, schedule = recipe
    rates = [learning_rate(i, optimizer, schedule) for i in range(schedule.total_iters)]
    assert all(0 < rate <= optimizer.base_lr * (1 + 1e-12) for rate in rates)
    for iteration, (now, after) in enumerate(itertools.pairwise(rates), start=1):
        if iteration in schedule.lr_drop_iters:
            assert after < now
        elif iteration <= optimizer.warmup_iters:
            assert after >= now * (1 - 1e-12)
        else:
            assert after == now


def test_drops_to_shares_of_their_own() -> None:
    """DeepMask's code: 1e-3 to epoch 50, 5e-4 to 120, then 1e-4."""
    optimizer = OptimizerSettings(base_lr=1e-3, warmup_iters=0)
    schedule = ScheduleSettings(total_iters=300, lr_drop_iters=(50, 120), lr_drop_shares=(0.5, 0.1))
    rates = [learning_rate(i, optimizer, schedule) for i in (0, 49, 50, 119, 120, 299)]
    assert rates == pytest.approx([1e-3, 1e-3, 5e-4, 5e-4, 1e-4, 1e-4])
    with pytest.raises(ValueError, match=r"lr_drop_shares .* must have a number for each"):
        ScheduleSettings(total_iters=300, lr_drop_iters=(50, 120), lr_drop_shares=(0.5,))
