"""Mask AP of Cityscapes' instances, by its own evaluator."""

from pointrend_repro.declarations.metric import Metric, percent
from pointrend_repro.declarations.official_keys import THINGS

METRIC = Metric(
    name="cityscapes_ap",
    reads="instances",
    scores="masks",
    truth="val_label_images",
    layouts=("cityscapes",),
    keys=percent("AP", "AP50", *(f"AP_{name}" for name in THINGS)),
    score="pointrend_repro.evaluation.cityscapes_ap:score_cityscapes_ap",
    resample="pointrend_repro.evaluation.bootstrap.cityscapes_precision:curve_counts",
)
