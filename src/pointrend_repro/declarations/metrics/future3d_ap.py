"""The mask AP of the 3D-FUTURE challenge, of 10 detections of a class in an image."""

from pointrend_repro.declarations.coco_limits import FUTURE3D
from pointrend_repro.declarations.metric import Metric, percent
from pointrend_repro.declarations.official_keys import COCO_KEYS

METRIC = Metric(
    name="future3d_ap",
    reads="instances",
    scores="masks",
    truth="val_annotations",
    layouts=("coco", "cityscapes"),
    keys=percent(*COCO_KEYS),
    settings=FUTURE3D.as_settings(),
    score="pointrend_repro.evaluation.future3d_ap:score_future3d_ap",
    resample="pointrend_repro.evaluation.bootstrap.official_matches:sized_match_counts",
)
