"""Matches of detections to objects, as pycocotools and lvis make them image by image."""

from pointrend_repro.evaluation.bootstrap.average_precision import (
    PrecisionCounts,
    precision_counts,
)
from pointrend_repro.evaluation.match_table import MatchTable


def match_counts(table: MatchTable) -> PrecisionCounts:
    """Return what mask AP, or AP*, needs from each image."""
    categories = (table.of_all_sizes(index) for index in range(table.categories))
    return precision_counts(table.images, categories, table.thresholds)
