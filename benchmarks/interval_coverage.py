"""How often the claims' intervals over images cover, for several ways to make one.

Made-up matches of two models in images of many classes, some in few images, scored by our own
average precision: many samples of images, and resamples of each. What is to be covered is the mean
over the samples: what the models score on sets of so many images. docs/claims.md has the table.

    python benchmarks/interval_coverage.py --images 80 --samples 250 --resamples 200
"""

import argparse
from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointrend_repro.evaluation.bootstrap.average_precision import (
    CategoryMatches,
    PrecisionCounts,
    precision_counts,
)
from pointrend_repro.reporting.claims.intervals import images_error

THRESHOLDS = 10
Floats = NDArray[np.float64]


class World(NamedTuple):
    """Classes from frequent to rare, and how well two models find their objects.

    Attributes:
        present: share of the images that each class is in.
        quality: of the first model, by class; the rarer, the worse.
        gain: what the second has on top.
    """

    present: Floats
    quality: Floats
    gain: Floats


def make_world(name: str, images: int) -> World:
    rng = np.random.default_rng(1)
    classes = 6 if name == "6 frequent classes" else 80
    # The rarest class of COCO is in some 9 of its 5000 images; on 80, in fewer than one.
    rarest = 0.1 if classes == 6 else max(0.8, 9 * images / 5000) / images
    place = np.linspace(0, 1, classes)
    quality = 0.4 - 1.2 * place + rng.normal(0, 0.3, classes)
    gains: dict[str, Floats] = {
        "same gain": np.full(classes, 0.15),
        "gain in frequent classes": 0.4 - 0.4 * place,
        "gain in rare classes": 0.6 * place - 0.3,
        "6 frequent classes": np.full(classes, 0.2),
    }
    return World(np.geomspace(0.5, rarest, classes), quality, gains[name])


def sample(world: World, images: int, rng: np.random.Generator) -> tuple[PrecisionCounts, ...]:
    """The matches of the two models in the same images."""
    models: tuple[list[CategoryMatches], list[CategoryMatches]] = ([], [])
    for present, quality, gain in zip(*world, strict=True):
        objects = np.where(rng.random(images) < present, 1 + rng.poisson(0.8, images), 0)
        at = np.repeat(np.arange(images), objects)
        hardness = rng.normal(0, 0.5, images)[at] + rng.normal(0, 1, len(at))
        false_at = np.repeat(np.arange(images), rng.poisson(0.25 * present + 0.02, images))
        for model, better in zip(models, (0, gain), strict=True):
            fit = quality + better - hardness + rng.normal(0, 0.6, len(at))
            passed = np.clip(np.floor(5 + 3 * fit), 0, THRESHOLDS)
            score = np.append(fit + rng.normal(0, 0.7, len(at)), rng.normal(-0.8, 1, len(false_at)))
            image = np.append(at, false_at)
            order = np.argsort(image, kind="stable")
            passed = np.append(passed, np.zeros(len(false_at)))[order]
            matched = np.arange(THRESHOLDS)[:, None] < passed
            model.append(
                CategoryMatches(
                    image[order], score[order], matched, np.zeros_like(matched), objects
                )
            )
    names = [str(image) for image in range(images)]
    return tuple(precision_counts(names, model, THRESHOLDS) for model in models)


def intervals(value: float, resampled: Floats) -> dict[str, tuple[float, float]]:
    low, middle, high = np.quantile(resampled, [0.025, 0.5, 0.975])
    normal, count = NormalDist(), len(resampled)
    below = np.clip(np.mean(resampled < value), 1 / count, 1 - 1 / count)
    z0 = normal.inv_cdf(float(below))
    corrected = np.quantile(resampled, [normal.cdf(2 * z0 + z) for z in (-1.96, 1.96)])
    error = images_error(value, resampled)
    assert error is not None
    return {
        "percentile": (low, high),
        "basic": (2 * value - high, 2 * value - low),
        "bias-corrected": tuple(corrected),
        "moved": (value + low - middle, value + high - middle),
        "symmetric": error.interval,
    }


def simulate(world: World, images: int, samples: int, resamples: int) -> tuple[Floats, Floats]:
    """Return values (samples, 2), AP and the difference, and resamples of each (..., resamples)."""
    rng = np.random.default_rng(2)
    values, drawn = np.empty((samples, 2)), np.empty((samples, 2, resamples))
    for index in range(samples):
        models = sample(world, images, rng)
        weights = [np.ones(images, np.int64), *rng.poisson(1, (resamples, images))]
        first, second = (np.array([m.score(w)["AP"] for w in weights]) for m in models)
        both = np.stack([first, second - first])
        values[index], drawn[index] = both[:, 0], both[:, 1:]
    return values, drawn


def tell(name: str, values: Floats, drawn: Floats, print_line: Callable[[str], None]) -> None:
    for what, which in (("AP", 0), ("difference", 1)):
        truth = values[:, which].mean()
        shift = (np.median(drawn[:, which], axis=1) - values[:, which]) / drawn[:, which].std(
            axis=1
        )
        print_line(f"{name}: {what}, mean {truth:.2f}, sd {values[:, which].std():.2f}, "
                   f"resamples shifted by {shift.mean():+.2f} sd")  # fmt: skip
        found = [intervals(v, d) for v, d in zip(values[:, which], drawn[:, which], strict=True)]
        for method in found[0]:
            low, high = np.array([each[method] for each in found]).T
            above, below = np.mean(low > truth), np.mean(high < truth)
            print_line(
                f"  {method:15s} covers {1 - above - below:.3f}, above {above:.3f}, "
                f"below {below:.3f}, width {np.mean(high - low):.2f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=80)
    parser.add_argument("--samples", type=int, default=250)
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--worlds", nargs="*", default=[
        "same gain", "gain in frequent classes", "gain in rare classes", "6 frequent classes",
    ])  # fmt: skip
    options = parser.parse_args()
    for name in options.worlds:
        world = make_world(name, options.images)
        found = simulate(world, options.images, options.samples, options.resamples)
        tell(name, *found, lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
