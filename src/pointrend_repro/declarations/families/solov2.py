"""SOLOv2: masks of objects from the whole image, without boxes and RoIs."""

from pointrend_repro.declarations.family import Family
from pointrend_repro.settings.solov2 import (
    SoloInferenceSettings,
    SoloModelSettings,
    SoloOverrides,
    SoloRecipe,
    SoloTrainingSettings,
)


def _architecture(settings: SoloModelSettings) -> tuple[str, ...]:
    return ("SOLOv2", settings.backbone.name, f"towers of {settings.head.tower_layers} layers")


FAMILY = Family(
    name="solov2",
    predictions="instances",
    model=SoloModelSettings,
    training=SoloTrainingSettings,
    inference=SoloInferenceSettings,
    recipe=SoloRecipe,
    overrides=SoloOverrides,
    build="pointrend_repro.modeling.solov2.model:SOLOv2",
    weights=lambda model: model.backbone.weights,
    pretrained="pointrend_repro.checkpoints.imagenet:load_trunk",
    read="pointrend_repro.data.training_splits:read_instances",
    trains_on="pointrend_repro.data.training_splits:has_object",
    make_example="pointrend_repro.data.examples:training_example",
    identity="pointrend_repro.data.training_splits:objects",
    predict="pointrend_repro.predictions.whole_masks:write_results",
    takes_work=True,
    predict_image="pointrend_repro.predictions.whole_masks:predict_image",
    leaves_unused=lambda _: False,
    architecture=_architecture,
    speed="pointrend_repro.pipeline.planning.speeds:cascade_or_dense_speed",
)
