"""Heads, feature maps, boxes and an image's objects on which we and mmdetection are compared.

All of it is made from seeds by NumPy's Philox, whose streams are fixed, so that outputs recorded on
one machine can be compared with ours on another. Trunk, pyramid and proposals are left out: they
are compared with detectron2's elsewhere.
"""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointrend_repro.data.structures import Target
from pointrend_repro.modeling.htc.model import HybridTaskCascade
from pointrend_repro.settings.htc import HtcModelSettings

RECORDED = Path(__file__).resolve().parents[1] / "recorded" / "mmdetection_htc.npz"

HEIGHT_PX, WIDTH_PX = 160, 224
NUM_CLASSES, CHANNELS, WIDTH, HIDDEN = 5, 8, 8, 32
BOX_RESOLUTION, MASK_RESOLUTION = 12, 32  # the 3D-FUTURE report's (section 3.1)
SCORE_THRESHOLD, NMS_IOU, DETECTIONS = 0.05, 0.5, 40
OBJECTS = [[10.0, 12, 120, 100], [90, 30, 210, 150], [20, 110, 80, 155], [150, 8, 200, 40]]
LABELS = [0, 3, 1, 4]
# More than there are boxes, so that nothing is drawn at random.
SAMPLES = 512

SETTINGS: dict[str, Any] = {
    "backbone": {
        "name": "resnet18_narrow",
        "norm": "gn",
        "freeze_at": 0,
        "fpn_channels": CHANNELS,
    },
    "detector": {
        "box_head_channels": HIDDEN,
        "box_roi_resolution": BOX_RESOLUTION,
        "roi_batch_per_image": SAMPLES,
        "roi_positive_fraction": 1.0,
        "score_threshold": SCORE_THRESHOLD,
        "nms_iou": NMS_IOU,
        "detections_per_image": DETECTIONS,
    },
    "mask_head": {"channels": WIDTH, "roi_resolution": MASK_RESOLUTION},
    "mask_scoring": {"channels": WIDTH, "hidden_channels": HIDDEN},
}


def make_model() -> HybridTaskCascade:
    """Our model with seeded weights in its heads."""
    model = HybridTaskCascade(HtcModelSettings.model_validate(SETTINGS), num_classes=NUM_CLASSES)
    state = model.state_dict()
    for name in state:
        if name.startswith(("box_heads.", "mask_head.")):
            state[name] = _weights(name, tuple(state[name].shape))
    model.load_state_dict(state)
    return model.eval()


def make_features() -> dict[str, Tensor]:
    """A smooth pyramid, p2 to p6."""
    features = {}
    for number, name in enumerate(("p2", "p3", "p4", "p5", "p6")):
        stride = 4 * 2**number
        size = (-(-HEIGHT_PX // stride), -(-WIDTH_PX // stride))
        array = _generator(name).standard_normal((1, CHANNELS, 6, 8)).astype(np.float32)
        coarse = torch.from_numpy(array)
        features[name] = torch.nn.functional.interpolate(coarse, size, mode="bilinear")
    return features


def make_target() -> Target:
    """Four ellipses that fill their boxes."""
    y, x = torch.meshgrid(torch.arange(HEIGHT_PX), torch.arange(WIDTH_PX), indexing="ij")
    masks = [
        ((x + 0.5 - (x0 + x1) / 2) / (x1 - x0)) ** 2 + ((y + 0.5 - (y0 + y1) / 2) / (y1 - y0)) ** 2
        < 0.25
        for x0, y0, x1, y1 in OBJECTS
    ]
    return Target(torch.tensor(OBJECTS), torch.tensor(LABELS), torch.stack(masks))


def make_proposals() -> Tensor:
    """Boxes (60, 4) around the objects, near and far."""
    rng = _generator("proposals")
    boxes = np.array(OBJECTS)[rng.integers(0, len(OBJECTS), 60)]
    size = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    moved = boxes + size * rng.normal(0, 0.12, (60, 4))
    limits = np.array([WIDTH_PX, HEIGHT_PX, WIDTH_PX, HEIGHT_PX])
    return torch.from_numpy(np.clip(moved, 0, limits).astype(np.float32))


def _weights(name: str, shape: tuple[int, ...]) -> Tensor:
    rng = _generator(name)
    if name.endswith(".bias"):
        return torch.from_numpy((0.05 * rng.standard_normal(shape)).astype(np.float32))
    fan_in = shape[0] if "deconv" in name else int(np.prod(shape[1:]))
    gain = 0.3 if "bbox_pred" in name else 4.0 if "cls_score" in name else 1.6
    array = gain / np.sqrt(fan_in) * rng.standard_normal(shape)
    return torch.from_numpy(array.astype(np.float32))


def _generator(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(zlib.crc32(name.encode())))
