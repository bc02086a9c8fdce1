"""Time and memory of resampling COCO's AP at full size, on made-up matches.

As many images, categories, thresholds, objects and detections as COCO val2017 has with 100
detections an image; what is matched is drawn at random. One process, one core.

    python benchmarks/bench_bootstrap.py
"""

import time

import numpy as np

from pointrend_repro.base.provenance import peak_memory_mb
from pointrend_repro.evaluation.bootstrap import resample
from pointrend_repro.evaluation.bootstrap.average_precision import (
    CategoryMatches,
    PrecisionCounts,
    precision_counts,
)

IMAGES, CATEGORIES, THRESHOLDS, OBJECTS, DETECTIONS = 5000, 80, 10, 36_781, 500_000
RESAMPLES = 1000


def main() -> None:
    counts = made_up_counts(np.random.default_rng(0))
    official = counts.score(np.ones(IMAGES, dtype=np.int64))
    start = time.perf_counter()
    resample(counts, dict(official), RESAMPLES)
    seconds = time.perf_counter() - start
    print(f"{RESAMPLES} resamples in {seconds:.1f} s, peak memory {peak_memory_mb():.0f} MB")


def made_up_counts(rng: np.random.Generator) -> PrecisionCounts:
    frequency = 1 / np.arange(1, CATEGORIES + 1) ** 0.8  # a few categories have most objects
    frequency /= frequency.sum()
    object_category = rng.choice(CATEGORIES, OBJECTS, p=frequency)
    object_image = rng.integers(0, IMAGES, OBJECTS)
    category = rng.choice(CATEGORIES, DETECTIONS, p=frequency)
    image = rng.integers(0, IMAGES, DETECTIONS)
    found = []
    for index in range(CATEGORIES):
        objects = np.bincount(object_image[object_category == index], minlength=IMAGES)
        own = np.sort(image[category == index])
        # As many detections of an image as it has objects are matched, up to some threshold.
        place = np.arange(len(own)) - np.searchsorted(own, own)
        top = np.where(place < objects[own], rng.integers(0, THRESHOLDS + 2, len(own)), 0)
        matched = np.arange(THRESHOLDS)[:, None] < top
        ignored = rng.random(matched.shape) < 0.01
        found.append(CategoryMatches(own, rng.random(len(own)), matched, ignored, objects))
    return precision_counts([str(i) for i in range(IMAGES)], found, THRESHOLDS)


if __name__ == "__main__":
    main()
