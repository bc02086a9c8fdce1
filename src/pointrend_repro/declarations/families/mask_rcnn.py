"""Mask R-CNN with one of several mask heads: boxes, and a mask in each."""

from pointrend_repro.declarations.family import Family
from pointrend_repro.settings.heads import PluginHeadSettings, SharpMaskHeadSettings
from pointrend_repro.settings.instances import (
    DatasetRecipe,
    DetectorOverrides,
    InferenceSettings,
    ModelSettings,
    TrainingSettings,
)


def _leaves_unused(settings: TrainingSettings) -> bool:
    """Without any box our heads still give gradients, since their losses keep the graph.

    This is unknown for heads from outside.
    """
    head = settings.model.mask_head
    if isinstance(head, SharpMaskHeadSettings):
        return head.coarse_stage_share is not None
    return isinstance(head, PluginHeadSettings)


def _architecture(settings: ModelSettings) -> tuple[str, ...]:
    parts = [settings.backbone.name, f"mask head {settings.mask_head.kind}"]
    if settings.features != "fpn":
        parts.append(f"features {settings.features}")
    if settings.rpn_only:
        parts.append("region proposals only")
    if settings.keypoint_head is not None:
        parts.append("a keypoint head")
    if settings.given_proposals:
        parts.append("given proposals")
    return tuple(parts)


def _given_boxes(settings: ModelSettings) -> ModelSettings:
    return settings.model_copy(update={"given_proposals": True})


FAMILY = Family(
    name="mask_rcnn",
    predictions="instances",
    model=ModelSettings,
    training=TrainingSettings,
    inference=InferenceSettings,
    recipe=DatasetRecipe,
    overrides=DetectorOverrides,
    default_recipe="instances",
    engines={"detectron2": "pointrend_repro.engines.detectron2.translations:DETECTORS"},
    build="pointrend_repro.modeling.build:build_detector",
    weights=lambda model: model.backbone.weights,
    pretrained="pointrend_repro.checkpoints.imagenet:load_trunk",
    read="pointrend_repro.data.training_splits:read_instances",
    requires="pointrend_repro.data.training_splits:require_keypoints_of_head",
    trains_on="pointrend_repro.data.training_splits:has_object",
    make_example="pointrend_repro.data.examples:training_example",
    identity="pointrend_repro.data.training_splits:objects",
    predict="pointrend_repro.predictions.instances:write_results",
    takes_work=True,
    predict_image="pointrend_repro.predictions.instances:predict_image",
    leaves_unused=_leaves_unused,
    architecture=_architecture,
    given_boxes=_given_boxes,
    speed="pointrend_repro.pipeline.planning.speeds:detector_speed",
)
