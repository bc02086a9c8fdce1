"""PointRend as mmdetection has it, and trunks with GC blocks, on which we and it are compared.

Narrow models with weights made from seeds by NumPy's Philox, whose streams are fixed, so that
outputs recorded on one machine can be compared with ours on another.
"""

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointrend_repro.modeling.build import build_mask_rcnn
from pointrend_repro.modeling.detector import MaskRCNN
from pointrend_repro.settings.instances import ModelSettings

RECORDED = Path(__file__).resolve().parents[1] / "recorded" / "mmdetection_pointrend.npz"

HEIGHT_PX, WIDTH_PX = 160, 224
NUM_CLASSES, CHANNELS, HIDDEN = 5, 16, 32
CHANNELS_OF_TRUNK, STEM = (64, 128, 256, 512), 16
PROPOSALS, DETECTIONS = 60, 30

SETTINGS: dict[str, Any] = {
    "backbone": {"name": "resnet50_narrow", "fpn_channels": CHANNELS},
    "detector": {
        "rpn_pre_nms_test": 200,
        "rpn_post_nms": PROPOSALS,
        "box_head_channels": HIDDEN,
        "detections_per_image": DETECTIONS,
    },
    "mask_head": {"kind": "pointrend", "coarse_channels": HIDDEN, "point_channels": CHANNELS},
}
# Of narrow trunks without a detector: ours, and mmdetection's arguments.
TRUNKS: dict[str, dict[str, Any]] = {
    "resnext50_narrow": {"type": "ResNeXt", "groups": 8, "base_width": 4},
    "res2net50_narrow": {"type": "Res2Net", "scales": 4, "base_width": 8},
}


def make_model() -> MaskRCNN:
    """Our PointRend with seeded weights."""
    model = build_mask_rcnn(ModelSettings.model_validate(SETTINGS), NUM_CLASSES)
    model.load_state_dict(make_weights(model.state_dict().items()))
    return model.eval()


def make_weights(tensors: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    """Weights by our names, for tensors of these shapes."""
    return {name: _weights(name, tuple(tensor.shape)) for name, tensor in tensors}


def make_image() -> Tensor:
    """A smooth image (3, H, W), RGB, 0 to 255."""
    array = _generator("image").uniform(0, 255, (1, 3, 7, 9)).astype(np.float32)
    size = (HEIGHT_PX, WIDTH_PX)
    return torch.nn.functional.interpolate(torch.from_numpy(array), size, mode="bilinear")[0]


def _weights(name: str, shape: tuple[int, ...]) -> Tensor:
    rng = _generator(name)
    if name.endswith("running_var") or (".norm.weight" in name and len(shape) == 1):
        return torch.from_numpy(rng.uniform(0.7, 1.3, shape).astype(np.float32))
    if name.endswith((".bias", "running_mean")) or ".context.norm" in name:
        return torch.from_numpy((0.05 * rng.standard_normal(shape)).astype(np.float32))
    # Such that maps, scores and boxes are of usual sizes.
    gains = {"stem.conv1": 0.03, "conv3": 0.4, "fpn": 0.4, "anchor_deltas": 0.1, "bbox_pred": 0.1}
    gain = next((gains[part] for part in gains if part in name), 1.4)
    array = gain / np.sqrt(np.prod(shape[1:])) * rng.standard_normal(shape)
    return torch.from_numpy(array.astype(np.float32))


def _generator(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(zlib.crc32(name.encode())))
