"""Average recall of proposals as a function of image weights, at every number of proposals."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointrend_repro.evaluation.proposal_matches import MOST, SIZES, THRESHOLDS, FoundObjects

_Floats = NDArray[np.float64]

SIZE_ENDINGS = ("", "_S", "_M", "_L")
COUNTS = (10, 100, 1000)

# Of the JSON's curves: about as many points as a plot on a logarithmic axis can show.
_PLOTTED = np.unique(np.logspace(0, np.log10(MOST), 61).round().astype(int))

# The trapezoid rule on a logarithmic axis over the counts 1, 2, ..., 1000, as a mean.
_LOG_COUNTS = np.log(np.arange(1, MOST + 1))
_STEPS = np.diff(_LOG_COUNTS) / _LOG_COUNTS[-1]
_SHARES = (np.append(_STEPS, 0) + np.append(0, _STEPS)) / 2


class RecallCounts:
    """What the recall of proposals needs from each image."""

    def __init__(self, found: FoundObjects) -> None:
        self.found = found

    @property
    def images(self) -> tuple[str, ...]:
        """Names of the N images."""
        return self.found.images

    def score(self, weights: NDArray[np.int64]) -> dict[str, float]:
        """Return the metric's numbers in percent, nan where there is no object.

        Args:
            weights: how often each image counts, (N,).
        """
        return _numbers(self.recall(weights).mean(axis=1))

    def recall(self, weights: NDArray[np.int64]) -> _Floats:
        """Return recall by size, IoU threshold and number of proposals, (A, T, 1000), as fractions.

        Args:
            weights: how often each image counts, (N,).
        """
        found = self.found
        place = (found.size * THRESHOLDS + found.threshold) * MOST + found.rank - 1
        hits = np.bincount(
            place, weights[found.image].astype(float), minlength=SIZES * THRESHOLDS * MOST
        )
        totals = (found.objects @ weights).astype(float)
        totals[totals == 0] = np.nan
        return hits.reshape(SIZES, THRESHOLDS, MOST).cumsum(axis=2) / totals[:, None, None]


def recall_counts(found: FoundObjects) -> RecallCounts:
    """Return what the recall of proposals needs from each image."""
    return RecallCounts(found)


def curves(recall: _Floats) -> dict[str, Any]:
    """Return what Figure 6 plots, as JSON: AR by number of proposals, and recall by IoU threshold.

    Args:
        recall: (A, T, 1000).

    Returns:
        `counts`, and by them `AR`, `AR_S`, `AR_M`, `AR_L`; `recall`: for each of 10, 100 and 1000
        proposals one number for each threshold of IoU, 0.50:0.05:0.95. In percent; None: no object.
    """
    by_count = recall.mean(axis=1)[:, _PLOTTED - 1]
    ends = zip(SIZE_ENDINGS, by_count, strict=True)
    return {
        "counts": _PLOTTED.tolist(),
        **{f"AR{end}": _written(row) for end, row in ends},
        "recall": {str(count): _written(recall[0, :, count - 1]) for count in COUNTS},
    }


def _numbers(by_count: _Floats) -> dict[str, float]:
    """Return the numbers of average recall by size and number of proposals, (A, 1000)."""
    percent = 100 * by_count
    values = {f"AR@{count}": percent[0, count - 1] for count in COUNTS}
    values |= {f"AR@{MOST}{SIZE_ENDINGS[size]}": percent[size, -1] for size in range(1, SIZES)}
    areas = percent @ _SHARES
    values |= {f"AUC{end}": area for end, area in zip(SIZE_ENDINGS, areas, strict=True)}
    return {key: float(value) for key, value in values.items()}


def _written(fractions: _Floats) -> list[float | None]:
    return [None if np.isnan(value) else round(100 * float(value), 3) for value in fractions]
