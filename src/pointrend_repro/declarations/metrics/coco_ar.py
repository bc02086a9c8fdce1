"""COCO's average recall of masks, class by class."""

from pointrend_repro.declarations.metric import Metric, percent

METRIC = Metric(
    name="coco_ar",
    reads="instances",
    scores="masks",
    truth="val_annotations",
    layouts=("coco", "cityscapes"),
    keys=percent("AR1", "AR10", "AR100", "ARs", "ARm", "ARl"),
    score="pointrend_repro.evaluation.coco_ar:score_coco_ar",
)
