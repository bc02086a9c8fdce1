"""A head, pyramids and objects on which SOLOv2 of ours and of mmdetection are compared.

All of it is made from seeds by NumPy's Philox, whose streams are fixed, so that outputs recorded on
one machine can be compared with ours on another. Trunk and pyramid are left out: they are compared
with detectron2's elsewhere.
"""

import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pointrend_repro.data.structures import Target
from pointrend_repro.modeling.solov2.model import SOLOv2
from pointrend_repro.settings.solov2 import SoloInferenceSettings, SoloModelSettings

RECORDED = Path(__file__).resolve().parents[1] / "recorded" / "mmdetection_solov2.npz"

# The second image is smaller than the batch, and was resized from another size.
PADDED_PX = (192, 256)
SEEN_PX = ((192, 256), (150, 240))
IMAGE_PX = ((192, 256), (205, 331))
NUM_CLASSES, CHANNELS, WIDTH, MAP_WIDTH, KERNELS, LAYERS = 5, 8, 32, 16, 16, 2
GRIDS = (20, 16, 12, 8, 6)
RANGES = ((1, 48), (24, 96), (48, 192), (96, 384), (192, 1024))
OBJECTS = (
    [[10.0, 12, 120, 100], [90, 30, 210, 150], [20, 110, 80, 155], [90, 30, 140, 70]],
    [[0.0, 0, 240, 150], [100, 60, 130, 95]],
)
LABELS = ([0, 3, 1, 4], [2, 0])
INFERENCE = SoloInferenceSettings(
    score_threshold=0.2, decayed_threshold=0.12, candidates=60, detections_per_image=30
)


def make_model() -> SOLOv2:
    """Our model with seeded weights in its head."""
    settings = SoloModelSettings.model_validate(
        {
            "backbone": {
                "name": "resnet18_narrow",
                "norm": "gn",
                "freeze_at": 0,
                "fpn_channels": CHANNELS,
            },
            "head": {
                "grids": GRIDS,
                "ranges_px": RANGES,
                "channels": WIDTH,
                "tower_layers": LAYERS,
                "map_channels": MAP_WIDTH,
                "kernel_channels": KERNELS,
            },
        }
    )
    model = SOLOv2(settings, num_classes=NUM_CLASSES)
    state = model.state_dict()
    for name, tensor in state.items():
        if name.startswith("head."):
            state[name] = _weights(name, tuple(tensor.shape))
    model.load_state_dict(state)
    return model.eval()


def make_features() -> dict[str, Tensor]:
    """Maps p2 to p6 of both images."""
    return {
        f"p{level}": _normal(f"p{level}", (2, CHANNELS, *(s // 2**level for s in PADDED_PX)))
        for level in range(2, 7)
    }


def make_targets() -> list[Target]:
    """Objects in their boxes, with holes, so that centres of mass lie elsewhere."""
    found = []
    for boxes, labels, (height, width) in zip(OBJECTS, LABELS, SEEN_PX, strict=True):
        masks = torch.zeros(len(boxes), height, width, dtype=torch.bool)
        for mask, box in zip(masks, boxes, strict=True):
            x0, y0, x1, y1 = (int(edge) for edge in box)
            mask[y0:y1, x0:x1] = True
            mask[y0 + 2 : (y0 + y1) // 2, x0 + 3 : (x0 + x1) // 2] = False
        found.append(Target(torch.tensor(boxes), torch.tensor(labels), masks))
    return found


def _weights(name: str, shape: tuple[int, ...]) -> Tensor:
    """Weights that keep the spread of what goes through, and classes that are often sure."""
    if len(shape) == 1:
        scale = 1.0 if name.endswith("norm.weight") else 0.0
        return scale + 0.1 * _normal(name, shape)
    fan_in = int(np.prod(shape[1:]))
    return _normal(name, shape) * (1.5 / fan_in) ** 0.5


def _normal(name: str, shape: tuple[int, ...]) -> Tensor:
    generator = np.random.Generator(np.random.Philox(zlib.crc32(name.encode())))
    return torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))
