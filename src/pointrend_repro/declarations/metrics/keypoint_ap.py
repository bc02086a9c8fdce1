"""COCO's keypoint AP: AP with the similarity of keypoints (OKS) in place of the IoU of masks."""

from pointrend_repro.declarations.metric import Metric, percent
from pointrend_repro.declarations.official_keys import COCO_KEYPOINT_KEYS

METRIC = Metric(
    name="keypoint_ap",
    reads="instances",
    scores="keypoints",
    truth="val_annotations",
    layouts=("coco",),
    keys=percent(*COCO_KEYPOINT_KEYS),
    score="pointrend_repro.evaluation.keypoint_ap:score_keypoint_ap",
    resample="pointrend_repro.evaluation.bootstrap.official_matches:match_counts",
)
