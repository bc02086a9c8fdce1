"""What the errors of a difference are made of: which trials go together, and of what data."""

import numpy as np
import pytest

from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.experiments.nodes import Prediction, Training
from pointrend_repro.reporting.claims.cells import JudgedCell
from pointrend_repro.reporting.claims.contrasts import CellName, Contrast
from pointrend_repro.reporting.claims.errors import Errors, errors_of
from pointrend_repro.reporting.claims.intervals import Interval, trainings_interval
from pointrend_repro.reporting.claims.judging import _other_data, _verdict
from pointrend_repro.reporting.claims.measuring import Measured, _trainings
from pointrend_repro.reporting.claims.needed_trials import needed_trials

A, B = ("a", "ap"), ("b", "ap")
DIFFERENCE = Contrast("A − B", "%", {A: 1.0, B: -1.0}, counted=False)


def cell(
    *numbers: float,
    trainings: tuple[str, ...] = (),
    data: str = "v1",
    resampled: np.ndarray | None = None,
) -> Measured:
    judged = JudgedCell(row="a", column="ap", title="A", key="AP", paper=None, trials={})
    return Measured(
        trainings=frozenset(("coco", name) for name in trainings),
        data=frozenset({("coco", "val_annotations", data)}),
        numbers=numbers,
        resampled=resampled,
        images=None,
        judged=judged,
    )


def errors(cells: dict[CellName, Measured]) -> Errors:
    return errors_of(DIFFERENCE, cells)


def test_models_of_one_origin_are_compared_trial_by_trial() -> None:
    """A SharpMask with the weights of its DeepMask: what both share, here 20 to 25, cancels."""
    deepmask = cell(20.0, 23.0, 25.0, trainings=("deepmask",))
    sharpmask = cell(20.8, 23.9, 25.7, trainings=("sharpmask", "deepmask"))
    found = errors({A: sharpmask, B: deepmask})
    assert found.by_model == [pytest.approx([0.8, 0.9, 0.7])]
    assert found.by_trial
    assert found.difference == pytest.approx(0.8)  # of the medians it is 0.9
    interval = found.over_trainings()
    assert interval is not None
    assert interval.low > 0
    apart = errors({A: sharpmask, B: cell(20.0, 23.0, 25.0, trainings=("other",))})
    assert (apart.by_trial, apart.difference) == (False, pytest.approx(0.9))
    wide = apart.over_trainings()
    independent = trainings_interval(0.9, [[20.8, 23.9, 25.7], [-20.0, -23.0, -25.0]])
    assert wide == pytest.approx(independent)
    assert wide is not None
    assert wide.low < 0 < wide.high


def test_two_that_share_a_third_are_of_one_origin_too() -> None:
    parts = Contrast("", "%", {A: 1.0, B: -1.0, ("c", "ap"): 1.0}, counted=False)
    cells = {
        A: cell(1.0, 2.0, trainings=("a",)),
        B: cell(3.0, 5.0, trainings=("b",)),
        ("c", "ap"): cell(7.0, 7.5, trainings=("a", "b", "c")),
    }
    found = errors_of(parts, cells)
    assert (found.difference, found.by_model) == (4.75, [[5.0, 4.5]])


@pytest.mark.parametrize("trials", [5, 9])
def test_the_interval_of_rows_that_share_trainings_covers(trials: int) -> None:
    """Two resolutions of one model: what a seed moves in both, ten times their difference's sd.

    Around the difference of the rows' medians, 87 % of these intervals hold the truth with 5
    trials, and 71 % with 9.
    """
    rng = np.random.default_rng(trials)
    covered = 0
    for _ in range(1000):
        common = rng.normal(35, 1, trials)
        rows = {
            name: cell(*(common + rng.normal(level, 0.1, trials)), trainings=("one",))
            for name, level in ((A, 0.4), (B, 0.0))
        }
        interval = errors(rows).over_trainings()
        assert interval is not None
        covered += interval.low <= 0.4 <= interval.high
    assert 0.935 < covered / 1000 <= 1


def test_resamples_of_shared_trainings_are_subtracted_trial_by_trial() -> None:
    """As the numbers are: on each resample, the median over trials of their differences."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 3, 50))
    rows = {
        A: cell(1.0, 2.0, 3.0, trainings=("one",), resampled=first),
        B: cell(0.0, 0.0, 0.0, trainings=("one",), resampled=second),
    }
    expected = [
        np.median([a[i] - b[i] for a, b in zip(first, second, strict=True)]) for i in range(50)
    ]
    assert errors(rows).resampled == pytest.approx(expected)
    apart = errors({**rows, B: cell(0.0, 0.0, 0.0, trainings=("two",), resampled=second)})
    assert apart.resampled == pytest.approx(np.median(first, axis=0) - np.median(second, axis=0))


def test_one_trial_of_one_model_is_enough_to_know_nothing() -> None:
    once, often = cell(1.0, trainings=("a",)), cell(0.0, 0.5, trainings=("b",))
    assert errors({A: once, B: often}).is_trained_once
    assert not errors({A: often, B: cell(1.0)}).is_trained_once  # that is not trained at all


def test_what_is_not_trained_does_not_vary() -> None:
    """Selective Search is run once: the model beside it has its own error all the same."""
    model = cell(19.0, 19.5, 18.4, trainings=("deepmask",))
    found = errors({A: cell(19.8), B: model})
    alone = trainings_interval(0.8, [[-19.0, -19.5, -18.4]])
    assert found.over_trainings() == pytest.approx(alone)
    none = errors({A: cell(19.8), B: cell(19.0)})
    assert none.over_trainings() is None
    assert needed_trials(none.difference, None, none.by_model) is None


def test_without_an_interval_and_at_zero_nothing_is_decided() -> None:
    assert _verdict(None) == "not-significant"
    assert _verdict(Interval(0.0, 0.0)) == "not-significant"
    assert _verdict(Interval(0.1, 0.3)) == "holds"
    assert _verdict(Interval(-0.3, -0.1)) == "does-not-hold"


def test_numbers_of_different_data_are_not_compared() -> None:
    assert _other_data([cell(1.0), cell(2.0)]) == ""
    told = _other_data([cell(1.0), cell(2.0, data="v2")])
    assert told == "made from different data: coco, val annotations"


def test_the_trainings_that_rows_of_the_papers_rest_on() -> None:
    grid = load_grid("paper", papers=["sharpmask"])

    def of(variant: str) -> frozenset[tuple[str, str]]:
        found = [e for e in grid.evaluations if e.prediction.training.variant == variant]
        return _trainings(grid, found[:1])

    deepmask, sharpmask = of("sharpmask_deepmask_r50"), of("sharpmask_r50")
    assert len(deepmask) == 1
    assert deepmask < sharpmask
    ensembles = load_grid("paper", papers=["3dfuture"])
    together = [p for p in ensembles.predictions if p.others]
    assert together
    for prediction in together:
        assert isinstance(prediction, Prediction)
        steps = ensembles.before(prediction)
        assert {s for s in steps if isinstance(s, Training)} >= set(prediction.trainings)
