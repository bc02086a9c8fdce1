"""DeepMask and SharpMask: class-agnostic, scored masks of objects, from windows of an image.

Not the mask head `sharpmask` of Mask R-CNN, which refines the masks of boxes.
"""

from pointrend_repro.declarations.family import Family
from pointrend_repro.settings.deepmask import DeepMaskModelSettings
from pointrend_repro.settings.deepmask_inference import DeepMaskInferenceSettings
from pointrend_repro.settings.deepmask_training import (
    DeepMaskOverrides,
    DeepMaskRecipe,
    DeepMaskTrainingSettings,
)


def _architecture(settings: DeepMaskModelSettings) -> tuple[str, ...]:
    refined = "SharpMask" if settings.refinement is not None else "DeepMask"
    trunk = f"{settings.backbone.name} P{settings.backbone.pooling}"
    return (refined, f"W{settings.patch_px}", trunk, f"head {settings.head}")


FAMILY = Family(
    name="deepmask",
    predictions="proposals",
    model=DeepMaskModelSettings,
    training=DeepMaskTrainingSettings,
    inference=DeepMaskInferenceSettings,
    recipe=DeepMaskRecipe,
    by_shape=False,
    overrides=DeepMaskOverrides,
    build="pointrend_repro.modeling.deepmask.model:DeepMask",
    weights=lambda model: model.backbone.weights,
    pretrained="pointrend_repro.checkpoints.imagenet:load_trunk",
    read="pointrend_repro.data.training_splits:read_instances",
    trains_on="pointrend_repro.data.patch_objects:has_learned_object",
    make_example="pointrend_repro.data.patch_sampling:make_patches",
    example_settings="pointrend_repro.data.patch_sampling:patch_sampling",
    identity="pointrend_repro.data.training_splits:objects",
    predict="pointrend_repro.predictions.mask_proposals:write_proposals",
    takes_work=True,
    predict_image="pointrend_repro.predictions.mask_proposals:predict_image",
    leaves_unused=lambda _: False,
    architecture=_architecture,
    speed="pointrend_repro.pipeline.planning.patch_speeds:deepmask_speed",
    prediction_factor="pointrend_repro.pipeline.planning.patch_speeds:windows_factor",
)
