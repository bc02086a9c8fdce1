"""Average recall of a detector's boxes, such as its RPN's proposals, without their classes."""

from pointrend_repro.declarations.metric import Metric, percent
from pointrend_repro.declarations.official_keys import RECALL_KEYS

METRIC = Metric(
    name="detector_box_recall",
    reads="instances",
    scores="boxes",
    truth="val_annotations",
    layouts=("coco", "cityscapes"),
    keys=percent(*RECALL_KEYS),
    score="pointrend_repro.evaluation.proposal_recall:score_detector_box_recall",
    resample="pointrend_repro.evaluation.bootstrap.recall:recall_counts",
)
