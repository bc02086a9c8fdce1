"""Made-up evaluations in pycocotools' own form: what `evaluate` leaves, without any mask."""

from typing import Any

import numpy as np
from pycocotools.cocoeval import COCOeval

THRESHOLDS = 10


def made_up_images(
    rng: np.random.Generator, images: int, *, detections: int, objects: int, ignored: float = 0.05
) -> list[dict[str, Any] | None]:
    """One category in all images: up to so many detections and objects in each; some are None.

    A detection that is matched at one threshold is matched at all lower ones. Scores differ.
    """
    found: list[dict[str, Any] | None] = []
    for image in range(images):
        d, g = int(rng.integers(0, detections + 1)), int(rng.integers(0, objects + 1))
        if not d and not g:
            found.append(None)
            continue
        matched = np.zeros((THRESHOLDS, d))
        for k in range(min(d, g)):
            matched[: rng.integers(0, THRESHOLDS + 1), k] = k + 1
        found.append(
            {
                "image_id": image,
                "dtScores": np.sort(rng.random(d))[::-1].tolist(),
                "dtMatches": matched,
                "dtIgnore": rng.random((THRESHOLDS, d)) < ignored,
                "gtIgnore": (rng.random(g) < ignored).astype(int),
            }
        )
    return found


def official_ap(categories: list[list[dict[str, Any] | None]]) -> float:
    """AP in percent by pycocotools' own `accumulate`; nan without any object."""
    count = len(categories[0])
    evaluation = COCOeval(iouType="segm")
    parameters = evaluation.params
    parameters.imgIds, parameters.catIds = list(range(count)), list(range(len(categories)))
    parameters.areaRng, parameters.areaRngLbl = [[0, 1e10]], ["all"]
    parameters.maxDets = [100]
    evaluation._paramsEval = parameters
    evaluation.evalImgs = [image for category in categories for image in category]
    evaluation.accumulate()
    precision = evaluation.eval["precision"]
    precision = precision[precision > -1]
    return 100 * float(precision.mean()) if precision.size else float("nan")


def repeated(
    categories: list[list[dict[str, Any] | None]], weights: np.ndarray
) -> list[list[dict[str, Any] | None]]:
    """The sample itself: each image as often as its weight says."""
    return [
        [image for image, weight in zip(category, weights, strict=True) for _ in range(weight)]
        for category in categories
    ]
