"""Average recall of class-agnostic proposals by their masks, or by their boxes without masks."""

from pointrend_repro.declarations.metric import Metric, percent
from pointrend_repro.declarations.official_keys import RECALL_KEYS

METRIC = Metric(
    name="proposal_recall",
    reads="proposals",
    scores="masks",
    truth="val_annotations",
    layouts=("coco", "cityscapes"),
    keys=percent(*RECALL_KEYS),
    score="pointrend_repro.evaluation.proposal_recall:score_proposal_recall",
    resample="pointrend_repro.evaluation.bootstrap.recall:recall_counts",
)
