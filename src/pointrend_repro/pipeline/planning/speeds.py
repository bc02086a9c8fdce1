"""Published speeds (`config/speeds.yaml`), and which of them a model is reckoned from."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError

from pointrend_repro.base.errors import UserError
from pointrend_repro.config.yaml_files import one_line, read_yaml
from pointrend_repro.declarations.family import family_of
from pointrend_repro.pipeline.planning.ranges import NOTHING, Range
from pointrend_repro.settings.heads import Conv4HeadSettings
from pointrend_repro.settings.instances import TrainingSettings
from pointrend_repro.settings.of_family import AnyTrainingSettings
from pointrend_repro.settings.semantic import SemanticTrainingSettings
from pointrend_repro.settings.values import PositiveFloat, PositiveInt, Strict


def _ascending(values: tuple[float, float]) -> Range:
    if values[0] > values[1]:
        raise ValueError(f"{list(values)}: write the smaller number first")
    return Range(*values)


_NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PublishedRange = Annotated[tuple[_NotNegative, _NotNegative], AfterValidator(_ascending)]
PositiveRange = Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(_ascending)]


class Gpu(Strict):
    """How many times as fast as a V100."""

    speed: PositiveRange
    source: str


class Detector(Strict):
    """Plain Mask R-CNN on one trunk: seconds a batch on all GPUs, seconds an image on one."""

    train_s: PositiveFloat
    images_per_batch: PositiveInt
    test_s: PublishedRange
    model_mb: PositiveFloat
    source: str


class MaskHead(Strict):
    """What a mask head makes of the times of plain Mask R-CNN, or SharpMask of DeepMask's."""

    train: PublishedRange
    test: PublishedRange
    model_mb: _NotNegative
    source: str


class KeypointHead(Strict):
    """What a keypoint head adds, on any trunk: seconds a batch, as `Detector`, and an image."""

    train_s: PublishedRange
    images_per_batch: PositiveInt
    test_s: PublishedRange
    model_mb: _NotNegative
    source: str


class PatchModel(Strict):
    """DeepMask: seconds a batch of patches on all GPUs and of loading, seconds an image on one."""

    train_s: PublishedRange
    loading_s: PublishedRange
    test_s: PublishedRange
    model_mb: PositiveFloat
    source: str


class SemanticModel(Strict):
    """Seconds a batch of computing and of loading images, and seconds an image to predict."""

    trunk: str
    train_s: PublishedRange
    loading_s: PublishedRange
    images_per_batch: PositiveInt
    test_s: PublishedRange
    model_mb: PositiveFloat
    source: str


class DatasetSize(Strict):
    """What lies on disk for a data set, and what predictions of it take."""

    val_images: PositiveInt
    train_images: PositiveInt | None = None
    bytes: PublishedRange
    detections: PublishedRange
    detection_bytes: PublishedRange
    label_image_bytes: PublishedRange = (0.0, 0.0)
    source: str


class Speeds(Strict):
    """All of `config/speeds.yaml`."""

    measured_on: str
    measured_gpus: PositiveInt
    gpus: dict[str, Gpu]
    detectors: dict[str, dict[str, Detector]]
    mask_heads: dict[str, MaskHead]
    keypoint_head: KeypointHead
    patch_models: dict[str, PatchModel]
    score_branch_mb: dict[str, _NotNegative]
    refinement: MaskHead
    semantic: dict[str, SemanticModel]
    datasets: dict[str, DatasetSize]


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


def load_speeds(config_dir: Path) -> Speeds:
    """Read `config/speeds.yaml`.

    Raises:
        UserError: it is missing, or a key is unknown or has a wrong value.
    """
    path = config_dir / "speeds.yaml"
    try:
        return Speeds.model_validate(read_yaml(path))
    except ValidationError as error:
        raise UserError(f"{path}: {one_line(error, Speeds)}") from None


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


def detector_speed(speeds: Speeds, settings: TrainingSettings, layout: str) -> ModelSpeed | None:
    """Return the speed of a trunk on data of a layout, times a mask head's, plus keypoints'."""
    trunk = speeds.detectors.get(layout, {}).get(_trunk_key(settings))
    head = speeds.mask_heads.get(_head_key(settings))
    if trunk is None or head is None:
        return None
    batch = settings.optimizer.images_per_batch / trunk.images_per_batch
    speed = ModelSpeed(
        train_s=Range(*head.train) * (trunk.train_s * batch),
        loading_s=NOTHING,
        test_s=Range(*trunk.test_s) * Range(*head.test),
        model_bytes=1e6 * (trunk.model_mb + head.model_mb),
        sources=(f"{trunk.source}: {trunk.train_s} s", f"{_head_key(settings)}: {head.source}"),
    )
    if settings.model.keypoint_head is None:
        return speed
    return _with_keypoints(speed, speeds.keypoint_head, settings.optimizer.images_per_batch)


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
