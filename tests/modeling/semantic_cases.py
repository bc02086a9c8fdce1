"""Semantic models, weights, images and label maps on which we and detectron2 are compared.

All of it is made from seeds by NumPy's Philox, whose streams are fixed, so that outputs recorded on
one machine can be compared with ours on another. `benchmarks/record_detectron2_semantic.py` and
the tests share it.
"""

import contextlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pointrend_repro.modeling.semantic.model import SemanticModel
from pointrend_repro.settings.backbone import BackboneSettings
from pointrend_repro.settings.semantic import (
    DeepLabV3Settings,
    SemanticFPNSettings,
    SemanticInferenceSettings,
    SemanticModelSettings,
    SemanticPointRendSettings,
)

RECORDED = Path(__file__).resolve().parents[1] / "recorded" / "detectron2_semantic"
NUM_CLASSES = 19

# A 64 pixel window: smaller than the images, as 512x1024 is for Cityscapes' 1024x2048.
_POOLING_PX = (64, 128)
_TRAIN_POINTS = 128

_MSRA_R101 = BackboneSettings(name="resnet101", freeze_at=0)
_R103 = BackboneSettings(
    name="resnet103",
    stride_in_1x1=False,
    norm="sync_bn",
    freeze_at=0,
    output_stride=16,
    multi_grid=(1, 2, 4),
    channel_order="RGB",
    pixel_mean=(123.675, 116.280, 103.530),
    pixel_std=(58.395, 57.120, 57.375),
)
_DEEPLAB = DeepLabV3Settings(
    kind="deeplabv3", image_pooling_px=_POOLING_PX, hard_pixel_fraction=0.2, dropout=0.0
)
# detectron2's choices where it differs from the paper.
_POINTREND = SemanticPointRendSettings(
    train_points=_TRAIN_POINTS, coarse_in_each_layer=False, uncertainty="logits"
)


@dataclass(frozen=True)
class SemanticCase:
    """One model on one image. N is small, so that most pixels are not predicted anew.

    Sizes that are no multiples of 32 are for feature pyramids only: detectron2 pads for these.
    """

    name: str
    settings: SemanticModelSettings
    points_per_step: int = 512
    height: int = 128
    width: int = 256
    seed: int = 0

    @property
    def inference(self) -> SemanticInferenceSettings:
        return SemanticInferenceSettings(points_per_step=self.points_per_step)

    @property
    def recording(self) -> Path:
        return RECORDED / f"{self.name}.npz"


def _fpn(finest: str, pointrend: SemanticPointRendSettings | None) -> SemanticModelSettings:
    decoder = SemanticFPNSettings.model_validate({"kind": "semantic_fpn", "finest_level": finest})
    return SemanticModelSettings(backbone=_MSRA_R101, decoder=decoder, pointrend=pointrend)


CASES = {
    case.name: case
    for case in (
        SemanticCase("semantic_fpn_r101", _fpn("p2", None), height=110, width=250),
        SemanticCase("semantic_fpn_p3_r101", _fpn("p3", None)),
        SemanticCase("semantic_fpn_pointrend_r101", _fpn("p2", _POINTREND)),
        SemanticCase(
            "semantic_fpn_p3_pointrend_r101", _fpn("p3", _POINTREND), height=110, width=250
        ),
        SemanticCase("deeplabv3_r103", SemanticModelSettings(backbone=_R103, decoder=_DEEPLAB)),
        SemanticCase(
            "deeplabv3_os8_r103",
            SemanticModelSettings(
                backbone=_R103.model_copy(update={"output_stride": 8}),
                decoder=_DEEPLAB,
            ),
            height=64,
        ),
        SemanticCase(
            "deeplabv3_pointrend_r103",
            SemanticModelSettings(backbone=_R103, decoder=_DEEPLAB, pointrend=_POINTREND),
        ),
    )
}


def make_model(case: SemanticCase) -> SemanticModel:
    """Our model with seeded weights of realistic scale, which tell many classes apart."""
    model = SemanticModel(case.settings, NUM_CLASSES)
    state = model.state_dict()
    pixel_scale = 60.0 / float(np.mean(case.settings.backbone.pixel_std))
    for name in sorted(state):
        if not name.endswith("num_batches_tracked"):
            array = _weights(name, tuple(state[name].shape), case.seed, pixel_scale)
            state[name] = torch.from_numpy(array.astype(np.float32))
    model.load_state_dict(state)
    model.eval()
    _level_classes(model, case)
    return model


@torch.no_grad()
def _level_classes(model: SemanticModel, case: SemanticCase) -> None:
    """Shift the coarse logits to mean zero over the image: else one class covers most of it."""
    means = model.decoder(model.backbone(make_images(case))).mean(dim=(0, 2, 3))
    model.decoder.predictor.bias -= means


def _weights(name: str, shape: tuple[int, ...], seed: int, pixel_scale: float) -> np.ndarray:
    rng = _generator(seed, name)
    if ".norm." in name:
        return _norm(name, shape, rng, pixel_scale)
    if name.endswith(".bias"):
        return 0.05 * rng.standard_normal(shape)
    array = rng.standard_normal(shape)
    if "predictor." in name:
        # What all pixels share says nothing of one: without it, pixels get different classes.
        array -= array.mean(axis=1, keepdims=True)
    gain = 0.6 if name.startswith("backbone.fpn.") else np.sqrt(2.0)
    return gain / np.sqrt(np.prod(shape[1:])) * array


def _norm(
    name: str, shape: tuple[int, ...], rng: np.random.Generator, pixel_scale: float
) -> np.ndarray:
    kind = name.rsplit(".", 1)[1]
    if kind in ("bias", "running_mean"):
        return 0.1 * rng.standard_normal(shape)
    values = rng.uniform(0.8, 1.25, shape)
    if kind == "weight" and ".res" in name and "conv3." in name:
        return 0.3 * values  # else activations double with every block
    if kind == "running_var" and "stem.conv1" in name:
        return pixel_scale**2 * values
    return values


def make_images(case: SemanticCase, count: int = 1) -> list[torch.Tensor]:
    """Pictures of coloured shapes and some texture, (3, H, W) uint8 RGB."""
    return [_image(case, _generator(case.seed, f"image {i}")) for i in range(count)]


def _image(case: SemanticCase, rng: np.random.Generator) -> torch.Tensor:
    y, x = np.mgrid[: case.height, : case.width]
    pixels = np.tile(rng.uniform(0, 255, 3), (case.height, case.width, 1))
    for _ in range(24):
        centre_x, centre_y = rng.uniform(0, case.width), rng.uniform(0, case.height)
        half_width, half_height = rng.uniform(0.02, 0.15, 2) * case.width
        u, v = (x - centre_x) / half_width, (y - centre_y) / half_height
        inside = u**2 + v**2 < 1 if rng.random() < 0.5 else np.maximum(abs(u), abs(v)) < 1
        pixels[inside] = rng.uniform(0, 255, 3)
    noisy = np.clip(pixels + rng.normal(0, 8, pixels.shape), 0, 255).astype(np.uint8)
    return torch.from_numpy(noisy).permute(2, 0, 1).contiguous()


def make_labels(case: SemanticCase, count: int = 1) -> list[torch.Tensor]:
    """Label maps of rectangles, some of them of pixels that do not count, (H, W) int64."""
    maps = []
    for index in range(count):
        rng = _generator(case.seed, f"labels {index}")
        labels = np.full((case.height, case.width), int(rng.integers(NUM_CLASSES)), dtype=np.int64)
        for _ in range(20):
            x, y = int(rng.integers(case.width)), int(rng.integers(case.height))
            w, h = rng.integers(5, 80, 2)
            labels[y : y + h, x : x + w] = 255 if rng.random() < 0.2 else rng.integers(NUM_CLASSES)
        maps.append(torch.from_numpy(labels))
    return maps


@contextlib.contextmanager
def seeded_points(seed: int) -> Iterator[None]:
    """Let `torch.rand`, by which both projects draw training points, draw from Philox."""
    rng, rand = _generator(seed, "points"), torch.rand

    def seeded_rand(*size: int, **_: object) -> torch.Tensor:
        return torch.from_numpy(rng.random(size, dtype=np.float32))

    torch.rand = seeded_rand  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.rand = rand


def _generator(seed: int, name: str) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, zlib.crc32(name.encode())]))
