"""Claims of a margin, of hardly any difference, and of gains that fall from pair to pair."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointrend_repro.base.errors import UserError
from pointrend_repro.config.tables import Table
from pointrend_repro.reporting.claims.cells import JudgedCell
from pointrend_repro.reporting.claims.contrasts import contrasts
from pointrend_repro.reporting.claims.judging import _judge
from pointrend_repro.reporting.claims.measuring import Measured
from pointrend_repro.reporting.claims.schema import _check_cells, _read_claim
from pointrend_repro.reporting.claims.significance import p_of_claim

ROWS = ("a", "b", "c", "d")


def table(**paper: float) -> Table:
    column = {"tolerance": 0.3, "tolerance_source": "made up"}
    ap = column | {"title": "AP", "dataset": "coco", "metric": "coco_ap", "value": "AP"}
    time = {"title": "ms", "metric": "inference_time", "value": "total_ms", "unit": "ms"}
    rows = {
        name: {
            "title": name.upper(),
            "variant": f"v{name}",
            "inference": "default",
            "paper": {"ap": paper[name]} if name in paper else {},
        }
        for name in ROWS
    }
    return Table.model_validate(
        {
            "title": "T",
            "caption": "c",
            "source": "s",
            "columns": {"ap": ap, "time": column | time},
            "rows": rows,
        }
    )


def claim(kind: str, pairs: list[list[str]], **more: Any) -> Any:
    values = {"statement": "s", "source": "s", "table": "t", "columns": ["ap"], "pairs": pairs}
    return _read_claim(values | {"kind": kind} | more, "claims.yaml: claim 'x'")


def paper(kind: str, pairs: list[list[str]], numbers: dict[str, float], **more: Any) -> list[Any]:
    found = table(**numbers)
    return [each.in_paper(found) for each in contrasts(claim(kind, pairs, **more), found)]


def test_by_takes_a_margin_off() -> None:
    numbers = {"a": 30.3, "b": 24.8}
    assert paper("greater", [["a", "b"]], numbers, by=3) == [2.5]
    assert paper("greater", [["a", "b"]], numbers, by=6) == [-0.5]
    (text,) = (c.text for c in contrasts(claim("greater", [["a", "b"]], by=3), table()))
    assert text == "AP: A − B − 3"


@given(st.floats(-3, 3), st.floats(0.1, 2))
def test_within_is_true_where_the_difference_is_smaller(difference: float, limit: float) -> None:
    found = table()
    parts = contrasts(claim("within", [["a", "b"]], within=limit), found)
    values = {("a", "ap"): 30 + difference, ("b", "ap"): 30.0}
    sums = [part.of(values.__getitem__) for part in parts]
    if not math.isclose(abs(difference), limit, abs_tol=1e-9):
        assert all(value > 0 for value in sums) == (abs(difference) < limit)


def test_gains_that_fall() -> None:
    numbers = {"a": 30.9, "b": 23.6, "c": 30.3, "d": 26.9}
    assert paper("gain_falls", [["a", "b"], ["c", "d"]], numbers) == [3.9]
    assert paper("gain_falls", [["c", "d"], ["a", "b"]], numbers) == [-3.9]
    # Along a chain: what one pair ends with, the next one begins with, or they end alike.
    numbers = {"a": 30.0, "b": 27.0, "c": 26.0}
    assert paper("gain_falls", [["a", "b"], ["b", "c"]], numbers) == [2.0]
    assert paper("gain_falls", [["b", "c"], ["a", "b"]], numbers) == [-2.0]
    assert paper("gain_falls", [["a", "c"], ["b", "c"]], numbers) == [3.0]
    assert paper("gain_falls", [["a", "b"], ["b", "a"]], numbers) == [6.0]
    (part,) = contrasts(claim("gain_falls", [["a", "c"], ["b", "c"]]), table())
    assert part.factors == {("a", "ap"): 1.0, ("b", "ap"): -1.0}  # c cancels


def test_a_gain_that_is_less_than_asked_holds_however_far_below() -> None:
    numbers = {"a": 30.0, "b": 29.5}
    assert paper("gains_less", [["a", "b"]], numbers, than=1) == [0.5]
    assert paper("gains_less", [["b", "a"]], numbers, than=1) == [1.5]
    assert paper("gains_less", [["a", "b"]], numbers, than=0.3) == [-0.2]
    (text,) = (c.text for c in contrasts(claim("gains_less", [["a", "b"]], than=1), table()))
    assert text == "AP: 1 − (A − B)"
    # Unlike `within`, it is true of a loss as large as one likes.
    assert judged(spread(-5, 0.4), kind="gains_less", than=1) == ["holds"]
    assert judged(spread(-5, 0.4), kind="within", within=1) == ["holds", "does-not-hold"]
    assert judged(spread(1, 0.4), kind="gains_less", than=1) == ["not-significant"]


class _Grid:
    """What `_judge` asks a grid: whether its numbers mean anything."""

    class preset:  # noqa: N801
        has_verdicts = True


def judged(differences: np.ndarray, **kind: Any) -> list[str]:
    """Verdicts on a claim about two models of two like trials, `differences` on resampled images.

    So the images alone decide.
    """
    found = table()
    cells = {}
    for name, values in (("a", 30 + differences), ("b", np.full(len(differences), 30.0))):
        number = float(np.median(values))
        cells[name, "ap"] = Measured(
            trainings=frozenset({("coco", name)}),
            data=frozenset(),
            numbers=(number, number),
            resampled=np.stack([values, values]),
            images=500,
            judged=JudgedCell(
                row=name, column="ap", title=name, key="AP", paper=None, trials={"f": number}
            ),
        )
    parts = contrasts(claim(pairs=[["a", "b"]], **kind), found)
    return [_judge(_Grid, part, found, cells)[0].verdict for part in parts]  # type: ignore[arg-type]


def spread(centre: float, half: float) -> np.ndarray:
    """Resamples whose middle 95 % reach `half` to either side."""
    return centre + np.linspace(-half / 0.95, half / 0.95, 2001)


@pytest.mark.parametrize(
    ("centre", "half", "expected"),
    [
        (0.2, 0.5, ["holds", "holds"]),
        (0.2, 0.9, ["not-significant", "holds"]),  # reaches beyond 1
        (0.0, 3.0, ["not-significant", "not-significant"]),  # no difference seen is no evidence
        (1.5, 0.3, ["does-not-hold", "holds"]),
        (-1.5, 0.3, ["holds", "does-not-hold"]),
    ],
)
def test_alike_only_if_the_whole_interval_is_inside(
    centre: float, half: float, expected: list[str]
) -> None:
    assert judged(spread(centre, half), kind="within", within=1) == expected


def test_a_margin_is_judged_by_the_interval() -> None:
    assert judged(spread(5, 1), kind="greater", by=3) == ["holds"]
    assert judged(spread(5, 2.5), kind="greater", by=3) == ["not-significant"]
    assert judged(spread(2, 0.5), kind="greater", by=3) == ["does-not-hold"]


def test_the_p_value_of_alike_is_that_of_its_weaker_side() -> None:
    """Two one-sided tests: both must be shown (an intersection-union test)."""
    assert p_of_claim([(0.8, 0.01), (1.2, 0.001)]) == 0.01


def test_two_models_alike_are_hardly_ever_found_alike_when_they_are_not() -> None:
    """At the limit itself, in at most 2.5 % of samples for each side."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(400):
        images = rng.normal(1.0, 4.0, 300)  # the true difference is the limit
        draws = rng.poisson(1, (300, 300))
        resampled = (draws * images).sum(1) / draws.sum(1)
        low, high = np.quantile(resampled, [0.025, 0.975])
        mean = images.mean()
        half = max(mean - low, high - mean)
        wrong += mean - half > -1 and mean + half < 1
    assert wrong / 400 <= 0.05


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"kind": "within", "within": 0}, "within: Input should be greater than 0"),
        ({"kind": "within"}, "within: Field required"),
        ({"kind": "greater", "by": -1}, "by: Input should be greater than or equal to 0"),
        ({"kind": "gain_falls"}, "pairs: "),
        ({"kind": "gains_less"}, "than: Field required"),
        ({"kind": "better", "pairs": [["a", "a"]]}, "pairs compare row 'a' with itself"),
        (
            {"kind": "gain_falls", "pairs": [["a", "b"], ["a", "b"]]},
            "pairs ['a', 'b'] stand twice in a row",
        ),
        ({"kind": "gain_greater", "columns": ["ap", "ap"]}, "columns compare 'ap' with itself"),
    ],
)
def test_wrong_claims_are_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError) as raised:
        claim(**{"pairs": [["a", "b"]]} | values)
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_times_are_nothing_to_judge_by() -> None:
    about_time = claim("better", [["a", "b"]]).model_copy(update={"columns": ["time"]})
    with pytest.raises(UserError, match=r"column 'time' .* measured on whatever device"):
        _check_cells(about_time, table(), "claims.yaml: claim 'x'")
