"""Mean IoU over Cityscapes' 19 classes."""

from pointrend_repro.declarations.metric import Metric, percent
from pointrend_repro.declarations.official_keys import STUFF, THINGS

METRIC = Metric(
    name="cityscapes_miou",
    reads="label_maps",
    truth="val_label_images",
    layouts=("cityscapes",),
    keys=percent("mIoU", *(f"IoU {name}" for name in (*STUFF, *THINGS))),
    score="pointrend_repro.evaluation.semantic_iou:score_cityscapes_miou",
    resample="pointrend_repro.evaluation.bootstrap.label_counts:pixel_counts",
)
