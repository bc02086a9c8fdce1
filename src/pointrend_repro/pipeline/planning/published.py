"""The published speeds that `plan` reckons with: the contents of `config/speeds.yaml`."""

from pathlib import Path

from pydantic import ValidationError

from pointrend_repro.base.errors import UserError
from pointrend_repro.config.yaml_files import one_line, read_yaml
from pointrend_repro.pipeline.planning.parts import (
    Factors,
    NotNegative,
    PositiveRange,
    PublishedRange,
)
from pointrend_repro.settings.values import PositiveFloat, PositiveInt, Strict


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


class KeypointHead(Strict):
    """What a keypoint head adds, on any trunk: seconds a batch, as `Detector`, and an image."""

    train_s: PublishedRange
    images_per_batch: PositiveInt
    test_s: PublishedRange
    model_mb: NotNegative
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
    mask_heads: dict[str, Factors]
    parts: dict[str, Factors]
    keypoint_head: KeypointHead
    patch_models: dict[str, PatchModel]
    score_branch_mb: dict[str, NotNegative]
    refinement: Factors
    semantic: dict[str, SemanticModel]
    datasets: dict[str, DatasetSize]


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
