"""What the errors of a difference are made of: which trials go together, and of what data."""

import statistics

import pytest

from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.experiments.nodes import Prediction, Training
from pointrend_repro.reporting.claims.contrasts import CellName, Contrast
from pointrend_repro.reporting.claims.errors import Errors, errors_of
from pointrend_repro.reporting.claims.files import JudgedCell
from pointrend_repro.reporting.claims.intervals import Interval, trainings_interval
from pointrend_repro.reporting.claims.judging import _other_data, _verdict
from pointrend_repro.reporting.claims.measuring import Measured, _trainings
from pointrend_repro.reporting.claims.needed_trials import needed_trials

A, B = ("a", "ap"), ("b", "ap")
DIFFERENCE = Contrast("A − B", "%", {A: 1.0, B: -1.0}, counted=False)


def cell(*numbers: float, trainings: tuple[str, ...] = (), data: str = "v1") -> Measured:
    judged = JudgedCell(row="a", column="ap", title="A", key="AP", paper=None, trials={})
    return Measured(
        trainings=frozenset(("coco", name) for name in trainings),
        data=frozenset({("coco", "val_annotations", data)}),
        numbers=numbers,
        resampled=None,
        judged=judged,
    )


def errors(cells: dict[CellName, Measured]) -> Errors:
    medians = {name: statistics.median(each.numbers) for name, each in cells.items()}
    return errors_of(DIFFERENCE.of(medians.__getitem__), DIFFERENCE, cells)


def test_models_of_one_origin_are_compared_trial_by_trial() -> None:
    """A SharpMask with the weights of its DeepMask: what both share, here 20 to 25, cancels."""
    deepmask = cell(20.0, 23.0, 25.0, trainings=("deepmask",))
    sharpmask = cell(20.8, 23.9, 25.7, trainings=("sharpmask", "deepmask"))
    found = errors({A: sharpmask, B: deepmask})
    assert found.by_model == [pytest.approx([0.8, 0.9, 0.7])]
    interval = found.over_trainings()
    assert interval is not None
    assert interval.low > 0
    apart = errors({A: sharpmask, B: cell(20.0, 23.0, 25.0, trainings=("other",))})
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
    assert errors_of(5.0, parts, cells).by_model == [[5.0, 4.5]]


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
