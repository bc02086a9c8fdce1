"""COCO's AP of boxes, of models with masks or without."""

from pointrend_repro.declarations.metric import Metric, percent
from pointrend_repro.declarations.official_keys import COCO_KEYS

METRIC = Metric(
    name="coco_box_ap",
    reads="instances",
    scores="boxes",
    truth="val_annotations",
    layouts=("coco", "cityscapes"),
    keys=percent(*COCO_KEYS),
    score="pointrend_repro.evaluation.coco_box_ap:score_coco_box_ap",
    resample="pointrend_repro.evaluation.bootstrap.official_matches:match_counts",
)
