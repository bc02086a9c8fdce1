"""DeepLabV3 and SemanticFPN, each with and without PointRend: a label for every pixel."""

from pointrend_repro.declarations.family import Family
from pointrend_repro.settings.semantic import (
    SemanticFPNSettings,
    SemanticInferenceSettings,
    SemanticModelSettings,
    SemanticOverrides,
    SemanticRecipe,
    SemanticTrainingSettings,
)


def _leaves_unused(settings: SemanticTrainingSettings) -> bool:
    decoder = settings.model.decoder  # of a pyramid whose p2 it does not use
    return isinstance(decoder, SemanticFPNSettings) and decoder.finest_level != "p2"


def _architecture(settings: SemanticModelSettings) -> tuple[str, ...]:
    points = "PointRend" if settings.pointrend else "no PointRend"
    return (settings.backbone.name, f"decoder {settings.decoder.kind}", points)


FAMILY = Family(
    name="semantic",
    predictions="label_maps",
    model=SemanticModelSettings,
    training=SemanticTrainingSettings,
    inference=SemanticInferenceSettings,
    recipe=SemanticRecipe,
    overrides=SemanticOverrides,
    engines={"detectron2": "pointrend_repro.engines.detectron2.translations:LABEL_MAPS"},
    build="pointrend_repro.modeling.semantic.model:SemanticModel",
    weights=lambda model: model.backbone.weights,
    pretrained="pointrend_repro.checkpoints.imagenet:load_trunk",
    read="pointrend_repro.data.training_splits:read_labels",
    make_example="pointrend_repro.data.semantic:semantic_example",
    identity="pointrend_repro.data.training_splits:label_file",
    parameter_groups="pointrend_repro.training.parameter_groups:with_faster_decoder",
    predict="pointrend_repro.predictions.label_maps:write_label_maps",
    takes_work=True,
    predict_image="pointrend_repro.predictions.label_maps:predict_image",
    is_joined=True,
    leaves_unused=_leaves_unused,
    architecture=_architecture,
    speed="pointrend_repro.pipeline.planning.speeds:semantic_speed",
)
