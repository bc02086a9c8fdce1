"""Which published speeds (`config/speeds.yaml`) a model is reckoned from."""

from dataclasses import dataclass, replace

from pointrend_repro.base.errors import UserError
from pointrend_repro.declarations.family import family_of
from pointrend_repro.pipeline.planning.parts import all_factors, parts_of, size_factors
from pointrend_repro.pipeline.planning.published import Gpu, KeypointHead, Speeds
from pointrend_repro.pipeline.planning.ranges import NOTHING, Range
from pointrend_repro.settings.heads import Conv4HeadSettings, PointRendHeadSettings
from pointrend_repro.settings.instances import TrainingSettings
from pointrend_repro.settings.of_family import AnyInferenceSettings, AnyTrainingSettings
from pointrend_repro.settings.semantic import SemanticTrainingSettings


@dataclass(frozen=True)
class ModelSpeed:
    """What one variant is reckoned to take on V100s.

    Attributes:
        train_s: seconds an update of computing on all GPUs of the published speeds.
        loading_s: seconds an update that wait for images, on any GPU.
        test_s: seconds to predict one image on one V100.
        model_bytes: of its weights.
        sources: where the numbers are from.
    """

    train_s: Range
    loading_s: Range
    test_s: Range
    model_bytes: float
    sources: tuple[str, ...]


def gpu_speed(speeds: Speeds, name: str) -> Gpu:
    """Return the GPU called `name`, in capitals or not.

    Raises:
        UserError: no speed of it is known.
    """
    if name.lower() not in speeds.gpus:
        raise UserError(
            f"--gpu {name}: no speed is known for it "
            f"(known: {', '.join(speeds.gpus)}; more go into config/speeds.yaml)"
        )
    return speeds.gpus[name.lower()]


def model_speed(speeds: Speeds, settings: AnyTrainingSettings, layout: str) -> ModelSpeed | None:
    """Return what a resolved training is reckoned to take, or None where nothing is known.

    A batch of another size takes proportionally long.

    Args:
        settings: of the training, with a preset's overrides.
        layout: of its data set, whose images decide the time.
    """
    family = family_of(settings)
    if family.speed is None:
        return None
    found: ModelSpeed | None = family.function(family.speed)(speeds, settings, layout)
    return found


def prediction_factor(inference: AnyInferenceSettings, settings: AnyTrainingSettings) -> Range:
    """Return how many times as long as its model's speed says a prediction takes.

    Args:
        inference: of the prediction. How often `test.views` see an image is counted elsewhere.
        settings: of the training.
    """
    family = family_of(settings)
    if family.prediction_factor is None:
        return Range(1.0, 1.0)
    found: Range = family.function(family.prediction_factor)(inference, settings)
    return found


def detector_speed(speeds: Speeds, settings: TrainingSettings, layout: str) -> ModelSpeed | None:
    """Return the speed of a trunk on data of a layout, times a mask head's, plus keypoints'."""
    parts = [*parts_of(settings.model.backbone), *_head_parts(settings)]
    speed = _speed(speeds, settings, layout, _trunk_key(settings), _head_key(settings), parts)
    if speed is None:
        return None
    if settings.model.keypoint_head is None:
        return speed
    return _with_keypoints(speed, speeds.keypoint_head, settings.optimizer.images_per_batch)


def cascade_or_dense_speed(
    speeds: Speeds, settings: AnyTrainingSettings, layout: str
) -> ModelSpeed | None:
    """Return the speed of a family of detectors that `mask_heads` knows by its name, as HTC."""
    backbone = settings.model.backbone
    return _speed(speeds, settings, layout, backbone.name, settings.family, [*parts_of(backbone)])


def _speed(
    speeds: Speeds,
    settings: AnyTrainingSettings,
    layout: str,
    trunk_key: str,
    head_key: str,
    parts: list[str],
) -> ModelSpeed | None:
    trunk = speeds.detectors.get(layout, {}).get(trunk_key)
    head = speeds.mask_heads.get(head_key)
    if trunk is None or head is None:
        return None
    batch = settings.optimizer.images_per_batch / trunk.images_per_batch
    train, test, model_mb = all_factors(parts, speeds.parts)
    larger_in_training, larger_at_test = size_factors(settings.input)
    return ModelSpeed(
        train_s=Range(*head.train) * train * larger_in_training * (trunk.train_s * batch),
        loading_s=NOTHING,
        test_s=Range(*trunk.test_s) * Range(*head.test) * test * larger_at_test,
        model_bytes=1e6 * (trunk.model_mb + head.model_mb + model_mb),
        sources=(
            f"{trunk.source}: {trunk.train_s} s",
            f"{head_key}: {head.source}",
            *(f"{part}: {speeds.parts[part].source}" for part in parts),
        ),
    )


def _with_keypoints(speed: ModelSpeed, head: KeypointHead, images_per_batch: int) -> ModelSpeed:
    return replace(
        speed,
        train_s=speed.train_s.plus(
            Range(*head.train_s) * (images_per_batch / head.images_per_batch)
        ),
        test_s=speed.test_s.plus(Range(*head.test_s)),
        model_bytes=speed.model_bytes + 1e6 * head.model_mb,
        sources=(*speed.sources, f"keypoint head: {head.source}"),
    )


def _trunk_key(settings: TrainingSettings) -> str:
    model = settings.model
    key = (
        model.backbone.name
        if model.features == "fpn"
        else f"{model.backbone.name}_{model.features}"
    )
    return f"{key}_rpn" if model.rpn_only else key


def _head_key(settings: TrainingSettings) -> str:
    head = settings.model.mask_head
    if settings.model.rpn_only:
        return "rpn"
    return f"4conv_{2 * head.roi_resolution}" if isinstance(head, Conv4HeadSettings) else head.kind


def _head_parts(settings: TrainingSettings) -> list[str]:
    head = settings.model.mask_head
    if isinstance(head, PointRendHeadSettings) and len(head.levels) > 1:
        return ["levels"]
    return []


def semantic_speed(
    speeds: Speeds, settings: SemanticTrainingSettings, layout: str
) -> ModelSpeed | None:
    """Return the speed of a decoder, with or without PointRend, on its one layout."""
    key = settings.model.decoder.kind + ("_pointrend" if settings.model.pointrend else "")
    found = speeds.semantic.get(key)
    if found is None or settings.model.backbone.name != found.trunk:
        return None
    batch = settings.optimizer.images_per_batch / found.images_per_batch
    return ModelSpeed(
        train_s=Range(*found.train_s) * batch,
        loading_s=Range(*found.loading_s) * batch,
        test_s=Range(*found.test_s),
        model_bytes=1e6 * found.model_mb,
        sources=(f"{key}: {found.source}",),
    )
