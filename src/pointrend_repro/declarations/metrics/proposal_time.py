"""How long DeepMask or SharpMask takes for an image, on the device at hand (Tables 1 and 2)."""

from pointrend_repro.declarations.metric import Metric

_TIMES = ("mask_ms", "score_ms", "total_ms")

METRIC = Metric(
    name="proposal_time",
    counts="proposals",
    measured=True,
    folder="proposal_time",
    title="time of an image",
    keys=dict.fromkeys(_TIMES, "ms"),
    lower_is_better=frozenset(_TIMES),
    score="pointrend_repro.evaluation.proposal_time:proposal_time",
)
