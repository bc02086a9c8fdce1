"""COCO's average recall of masks, class by class."""

from pointrend_repro.declarations.metric import Metric, percent
from pointrend_repro.declarations.official_keys import COCO_AR_KEYS

METRIC = Metric(
    name="coco_ar",
    reads="instances",
    scores="masks",
    truth="val_annotations",
    layouts=("coco", "cityscapes"),
    keys=percent(*COCO_AR_KEYS),
    score="pointrend_repro.evaluation.coco_ar:score_coco_ar",
)
