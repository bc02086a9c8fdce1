"""COCO's mask AP, and the AP of the boxes of the same predictions."""

from pointrend_repro.declarations.metric import Metric, percent
from pointrend_repro.declarations.official_keys import COCO_KEYS

METRIC = Metric(
    name="coco_ap",
    reads="instances",
    scores="masks",
    truth="val_annotations",
    layouts=("coco", "cityscapes"),  # Cityscapes' instances become COCO annotations, too
    keys=percent(*COCO_KEYS, "AP_box"),
    score="pointrend_repro.evaluation.coco_ap:score_coco_ap",
    resample="pointrend_repro.evaluation.bootstrap.official_matches:match_counts",
)
