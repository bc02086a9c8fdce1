"""p-values are those of the deciding interval, err as often as they say, and Holm's are Holm's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.config.papers import list_papers
from pointrend_repro.config.reading import load_preset
from pointrend_repro.reporting.claims.errors import Errors
from pointrend_repro.reporting.claims.files import JudgedClaim
from pointrend_repro.reporting.claims.intervals import combine
from pointrend_repro.reporting.claims.schema import load_claims
from pointrend_repro.reporting.claims.significance import holm, p_of_claim, p_value, with_holm


def errors_at(difference: float, rng: np.random.Generator, *, trials: int = 3) -> Errors:
    """Of two models whose trials vary by 0.3 and 0.2, and on images by 0.25 together."""
    images = rng.normal(0, 0.25)
    first, second = rng.normal(0, 0.3, trials), rng.normal(0, 0.2, trials)
    measured = difference + images + float(np.median(first) - np.median(second))
    resampled = measured + rng.normal(0, 0.25, 1000)
    return Errors(measured, resampled, [first.tolist(), (-second).tolist()])


def interval_of(errors: Errors) -> tuple[float, float]:
    images, trainings = errors.over_images(), errors.over_trainings()
    assert images is not None
    assert trainings is not None
    both = combine(errors.difference, [images.interval, trainings])
    assert both is not None
    return both


def test_it_is_below_5_percent_where_the_interval_excludes_zero_and_nowhere_else() -> None:
    rng = np.random.default_rng(0)
    found = [errors_at(rng.uniform(-2, 2), rng) for _ in range(100)]
    excluded = [not low <= 0 <= high for low, high in map(interval_of, found)]
    assert [errors.p_value() < 0.05 for errors in found] == excluded  # type: ignore[operator]
    assert 20 < sum(excluded) < 80


def test_without_a_difference_it_is_small_no_more_often_than_it_says() -> None:
    rng = np.random.default_rng(1)
    found = np.array([errors_at(0.0, rng).p_value() for _ in range(400)], dtype=float)
    for level in (0.01, 0.05, 0.1, 0.25, 0.5):
        error = (level * (1 - level) / 400) ** 0.5
        assert np.mean(found <= level) <= level + 2.5 * error
    # Careful, not blind: with two trials and no median it would be uniform.
    assert np.mean(found <= 0.5) > 0.2


def test_images_alone_make_it_uniform() -> None:
    rng = np.random.default_rng(2)
    found = []
    for _ in range(600):
        measured = rng.normal(0, 0.25)
        errors = Errors(measured, measured + rng.normal(0, 0.25, 1000), [[1.0], [-1.0]])
        found.append(errors.p_value())
    shares = [float(np.mean(np.array(found, dtype=float) <= level)) for level in (0.05, 0.25, 0.5)]
    assert shares[0] == pytest.approx(0.05, abs=0.025)
    assert shares[1] == pytest.approx(0.25, abs=0.05)
    assert shares[2] == pytest.approx(0.5, abs=0.06)


def test_resamples_know_nothing_of_smaller_levels_than_their_outermost() -> None:
    rng = np.random.default_rng(3)
    far = Errors(9.0, 9 + rng.normal(0, 0.1, 1000), [[9.0], [0.0]])
    assert far.p_value() == pytest.approx(2 / 1001)
    assert Errors(9.0, None, [[9.0], [0.0]]).p_value() is None
    assert Errors(0.0, None, [[1.0, 2.0], [-1.0, -2.0]]).p_value() == 1
    assert p_value(1.0, lambda level: None, resamples=None) is None


def test_trials_alone_give_students_p() -> None:
    """Two models of two trials with equal spread: t with 2 degrees of freedom, p in closed form."""
    errors = Errors(4.0, None, [[4.5, 5.5], [-0.5, -1.5]])
    t = 4 / (0.5 / 2 + 0.5 / 2) ** 0.5
    assert errors.p_value() == pytest.approx(1 - t / (2 + t * t) ** 0.5, rel=1e-3)


def test_a_claim_needs_all_its_differences_and_falls_with_one() -> None:
    assert p_of_claim([(1.0, 0.01), (2.0, 0.04)]) == 0.04
    assert p_of_claim([(1.0, 0.01), (-2.0, 0.004), (0.0, 1.0)]) == pytest.approx(0.012)
    assert p_of_claim([(-1.0, 0.9), (-2.0, 0.8)]) == 1


def test_holm_as_in_a_textbook() -> None:
    """Worked by hand: 0.005 <= 0.05 / 4, 0.01 <= 0.05 / 3, but 0.03 > 0.05 / 2."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == [True, False, False, True]
    # 0.04 <= 0.05 / 1 would pass, but is never asked: 0.03 > 0.05 / 2.
    assert holm([0.03, 0.04, 0.01]) == [False, False, True]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_is_its_definition_by_adjusted_values(p_values: list[float]) -> None:
    """Adjusted: the running maximum of (n - rank) p, compared with 5 %."""
    order, adjusted, largest = np.argsort(p_values, kind="stable"), {}, 0.0
    for rank, index in enumerate(order):
        largest = max(largest, (len(p_values) - rank) * p_values[index])
        adjusted[int(index)] = largest
    near = [i for i in adjusted if abs(adjusted[i] - 0.05) < 1e-9]
    found = holm(p_values)
    assert all(found[i] == (adjusted[i] <= 0.05) for i in adjusted if i not in near)


def test_all_claims_together_err_at_most_at_5_percent() -> None:
    """Of ten claims that are all false by a hair, how often does one hold after the correction?"""
    rng = np.random.default_rng(4)
    p_values = rng.uniform(size=(4000, 10))
    assert np.mean([any(holm(row.tolist())) for row in p_values]) == pytest.approx(0.05, abs=0.012)


def judged(table: str, number: int, p: float | None) -> JudgedClaim:
    return JudgedClaim.model_construct(name=f"{table}_{number}", table=table, p_value=p)


def test_claims_of_another_paper_do_not_count() -> None:
    """25 claims at the smallest p of 1000 resamples all survive; with 26, none would."""
    smallest = 2 / 1001
    papers = {"table1": "one", "table2": "one", "other": "another"}
    claims = [judged(f"table{1 + n % 2}", n, smallest) for n in range(25)]
    others = [judged("other", n, 0.04) for n in range(2)]
    found = with_holm([*claims, *others, judged("table1", 99, None)], papers)
    assert [claim.survives_holm for claim in found] == [True] * 25 + [False] * 2 + [None]
    more = with_holm([*claims, judged("table1", 25, smallest)], papers)
    assert not any(claim.survives_holm for claim in more)


def test_no_paper_has_more_claims_than_the_resamples_can_tell_apart() -> None:
    for preset in (load_preset("paper"), load_preset("mini")):
        for paper in list_papers(CONFIG_DIR):
            count = len(
                [c for c in load_claims(papers=[paper]).claims.values() if c.table != "mine"]
            )
            assert 2 / (preset.resamples + 1) <= 0.05 / max(1, count), paper
