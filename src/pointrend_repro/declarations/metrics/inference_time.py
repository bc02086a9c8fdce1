"""How long a detector takes for an image, on the device at hand (Mask R-CNN, section 4.4)."""

from pointrend_repro.declarations.metric import Metric

_TIMES = ("total_ms", "trunk_ms", "boxes_ms", "masks_ms", "pasting_ms")

METRIC = Metric(
    name="inference_time",
    counts="instances",
    families=("mask_rcnn",),
    measured=True,
    folder="time",
    title="time of an image",
    keys={"images_per_s": "images/s"} | dict.fromkeys(_TIMES, "ms"),
    lower_is_better=frozenset(_TIMES),
    score="pointrend_repro.evaluation.inference_time:inference_time",
)
