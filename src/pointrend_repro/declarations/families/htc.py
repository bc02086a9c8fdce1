"""Hybrid Task Cascade: boxes and masks that three stages refine in turn."""

from pointrend_repro.declarations.family import Family
from pointrend_repro.settings.htc import (
    HtcInferenceSettings,
    HtcModelSettings,
    HtcOverrides,
    HtcTrainingSettings,
)


def _architecture(settings: HtcModelSettings) -> tuple[str, ...]:
    parts = ["HTC", settings.backbone.name, f"mask RoIs of {settings.mask_head.roi_resolution}"]
    return (*parts, "mask scoring") if settings.mask_scoring is not None else tuple(parts)


FAMILY = Family(
    name="htc",
    predictions="instances",
    model=HtcModelSettings,
    training=HtcTrainingSettings,
    inference=HtcInferenceSettings,
    overrides=HtcOverrides,
    build="pointrend_repro.modeling.htc.model:HybridTaskCascade",
    weights=lambda model: model.backbone.weights,
    pretrained="pointrend_repro.checkpoints.imagenet:load_trunk",
    read="pointrend_repro.data.training_splits:read_instances",
    trains_on="pointrend_repro.data.training_splits:has_object",
    make_example="pointrend_repro.data.examples:training_example",
    identity="pointrend_repro.data.training_splits:objects",
    predict="pointrend_repro.predictions.instances:write_results",
    takes_work=True,
    predict_image="pointrend_repro.predictions.instances:predict_image",
    leaves_unused=lambda _: False,
    architecture=_architecture,
    speed="pointrend_repro.pipeline.planning.speeds:cascade_or_dense_speed",
)
