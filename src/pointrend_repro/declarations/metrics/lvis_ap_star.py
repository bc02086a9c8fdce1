"""AP*: predictions on COCO's classes, scored against the better masks of LVIS v0.5."""

from pointrend_repro.declarations.metric import Metric, percent
from pointrend_repro.declarations.official_keys import LVIS_KEYS

METRIC = Metric(
    name="lvis_ap_star",
    reads="instances",
    scores="masks",
    truth="lvis_annotations",
    layouts=("coco",),
    without_truth="no LVIS annotations given; name them by lvis_annotations=FILE",
    keys=percent(*LVIS_KEYS),
    score="pointrend_repro.evaluation.lvis_ap:score_lvis_ap_star",
    resample="pointrend_repro.evaluation.bootstrap.official_matches:match_counts",
)
