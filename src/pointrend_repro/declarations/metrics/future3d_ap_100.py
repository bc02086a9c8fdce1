"""The same with 100 detections of a class in an image, as the winner's own code scores."""

from pointrend_repro.declarations.coco_limits import FUTURE3D_100
from pointrend_repro.declarations.metric import Metric, percent
from pointrend_repro.declarations.official_keys import COCO_KEYS

METRIC = Metric(
    name="future3d_ap_100",
    reads="instances",
    scores="masks",
    truth="val_annotations",
    layouts=("coco", "cityscapes"),
    keys=percent(*COCO_KEYS),
    settings=FUTURE3D_100.as_settings(),
    score="pointrend_repro.evaluation.future3d_ap:score_future3d_ap_100",
    resample="pointrend_repro.evaluation.bootstrap.official_matches:sized_match_counts",
)
