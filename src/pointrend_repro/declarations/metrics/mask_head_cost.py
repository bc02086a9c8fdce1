"""What a mask head computes for one box: billions of multiply-adds, millions of activations."""

from pointrend_repro.declarations.metric import Metric

_KEYS = {
    "multiply_adds": "B",
    "activations": "M",
    "activations_summed": "M",
    "activations_peak": "M",
}

METRIC = Metric(
    name="mask_head_cost",
    counts="instances",
    families=("mask_rcnn",),
    counted_settings=("mask_head", "backbone.fpn_channels"),
    folder="cost",
    title="operations of the mask head",
    keys=_KEYS,
    lower_is_better=frozenset(_KEYS),
    score="pointrend_repro.evaluation.cost:mask_head_cost",
)
