"""Boundary AP: COCO's AP with the IoU of the bands along the borders of masks."""

from pointrend_repro.declarations.boundary_ratios import COCO_RATIO
from pointrend_repro.declarations.metric import Metric, percent
from pointrend_repro.declarations.official_keys import COCO_KEYS

METRIC = Metric(
    name="boundary_ap",
    reads="instances",
    scores="masks",
    truth="val_annotations",
    layouts=("coco", "cityscapes"),
    keys=percent(*COCO_KEYS),
    settings={"dilation_ratio": COCO_RATIO},
    score="pointrend_repro.evaluation.boundary_ap:score_boundary_ap",
    resample="pointrend_repro.evaluation.bootstrap.official_matches:match_counts",
)
