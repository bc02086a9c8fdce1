"""What DeepMask and SharpMask are reckoned to take."""

from dataclasses import replace

from pointrend_repro.pipeline.planning.published import Speeds
from pointrend_repro.pipeline.planning.ranges import Range
from pointrend_repro.pipeline.planning.speeds import ModelSpeed
from pointrend_repro.settings.deepmask import DeepMaskModelSettings
from pointrend_repro.settings.deepmask_inference import DeepMaskInferenceSettings
from pointrend_repro.settings.deepmask_training import DeepMaskTrainingSettings

# Of a batch that the speeds are of.
_PATCHES = 32
# Height and width of the image whose windows are counted: that of most in COCO.
_IMAGE_PX = (480, 640)


def deepmask_speed(
    speeds: Speeds, settings: DeepMaskTrainingSettings, layout: str
) -> ModelSpeed | None:
    """Return the speed of DeepMask on its trunk and patches, times that of SharpMask."""
    model = settings.model
    trunk = f"{model.backbone.name}_p{model.backbone.pooling}"
    key = f"{trunk}_w{model.patch_px}_f{model.feature_channels}"
    found = speeds.patch_models.get(key)
    if found is None or layout != "coco":
        return None
    images = settings.optimizer.images_per_batch / _PATCHES
    speed = ModelSpeed(
        train_s=Range(*found.train_s) * (images * settings.input.patches_per_image),
        loading_s=Range(*found.loading_s) * images,
        test_s=Range(*found.test_s),
        model_bytes=1e6 * (found.model_mb + speeds.score_branch_mb[model.head]),
        sources=(f"{key}: {found.source}",),
    )
    if model.refinement is None:
        return speed
    refinement = speeds.refinement
    return replace(
        speed,
        train_s=speed.train_s * Range(*refinement.train),
        test_s=speed.test_s * Range(*refinement.test),
        model_bytes=speed.model_bytes + 1e6 * refinement.model_mb,
        sources=(*speed.sources, f"refinement: {refinement.source}"),
    )


def windows_factor(
    inference: DeepMaskInferenceSettings, settings: DeepMaskTrainingSettings
) -> Range:
    """Return how many times as many windows a prediction sees as one by the default settings.

    `best_for_objects` makes the masks of few of them or of all, instead of those of the 1000 best.
    """
    usual, own = DeepMaskInferenceSettings(), _windows(inference, settings.model)
    factor = own / _windows(usual, settings.model)
    if inference.keep == "best_scoring":
        return Range(factor, factor)
    return Range(factor, max(factor, own / usual.proposals))


def _windows(inference: DeepMaskInferenceSettings, model: DeepMaskModelSettings) -> int:
    """Count the windows of an image, as `modeling.deepmask.windows` places them."""
    stride = model.backbone.stride
    sizes = [[round(side * s) for side in _IMAGE_PX] for s in inference.scales(model.patch_px)]
    return sum((-(-height // stride) + 1) * (-(-width // stride) + 1) for height, width in sizes)
