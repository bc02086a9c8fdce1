"""Weights: Poisson, of the image's name alone, the same for ever."""

import math

import numpy as np

from pointrend_repro.evaluation.bootstrap.weights import image_weights


def matrix(images: list[str], resamples: int) -> np.ndarray:
    return np.stack(list(image_weights(images, resamples)))


def test_weights_are_poisson_with_mean_one() -> None:
    weights = matrix([str(k) for k in range(400)], 1000)
    assert weights.shape == (1000, 400)
    share = np.bincount(weights.ravel(), minlength=6)[:6] / weights.size
    expected = np.array([math.exp(-1) / math.factorial(k) for k in range(6)])
    assert (abs(share - expected) < 4 * np.sqrt(expected / weights.size)).all()
    # Neither images nor resamples go together.
    assert abs(np.corrcoef(weights, rowvar=False)[np.triu_indices(400, 1)]).max() < 0.2
    assert 0.85 < weights.sum(axis=1).var() / 400 < 1.15


def test_an_image_has_the_same_weights_in_every_set_of_images() -> None:
    """COCO's annotations and those of LVIS need not list the same images, nor in one order."""
    some, others = matrix(["7", "139", "285"], 50), matrix(["285", "632", "7"], 50)
    np.testing.assert_array_equal(some[:, 0], others[:, 2])
    np.testing.assert_array_equal(some[:, 2], others[:, 0])
    assert (some[:, 1] != others[:, 1]).any()


def test_more_resamples_begin_with_the_same_ones() -> None:
    np.testing.assert_array_equal(matrix(["a", "b"], 100)[:10], matrix(["a", "b"], 10))


def test_the_numbers_never_change() -> None:
    """Metric files of two machines, or of two versions of NumPy, must stay paired."""
    assert matrix(["139", "munster_000000_000019"], 10).T.tolist() == [
        [1, 1, 0, 1, 1, 1, 1, 1, 0, 3],
        [2, 0, 1, 0, 0, 0, 1, 0, 2, 3],
    ]
