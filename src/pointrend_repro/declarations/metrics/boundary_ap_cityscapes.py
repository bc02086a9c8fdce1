"""The same with the thinner boundaries that its authors' tool has for Cityscapes."""

from pointrend_repro.declarations.boundary_ratios import CITYSCAPES_RATIO
from pointrend_repro.declarations.metric import Metric, percent
from pointrend_repro.declarations.official_keys import COCO_KEYS

METRIC = Metric(
    name="boundary_ap_cityscapes",
    reads="instances",
    scores="masks",
    truth="val_annotations",
    layouts=("cityscapes",),
    keys=percent(*COCO_KEYS),
    settings={"dilation_ratio": CITYSCAPES_RATIO},
    score="pointrend_repro.evaluation.boundary_ap:score_boundary_ap_cityscapes",
    resample="pointrend_repro.evaluation.bootstrap.official_matches:match_counts",
)
