"""Models, weights, images and targets on which we and detectron2 are compared.

All of it is made from seeds by NumPy's Philox, whose streams are fixed, so that outputs recorded on
one machine can be compared with ours on another. `record_detectron2.py` and the tests share it.
"""

import contextlib
import dataclasses
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter

from pointrend_repro.checkpoints.known_models import KNOWN_MODELS, KnownModel
from pointrend_repro.data.structures import Target
from pointrend_repro.modeling.build import build_mask_rcnn
from pointrend_repro.modeling.detector import MaskRCNN
from pointrend_repro.settings.at_test import DetectionAtTest
from pointrend_repro.settings.instances import InferenceSettings, ModelSettings
from pointrend_repro.settings.schedule import InputSettings

RECORDED = Path(__file__).resolve().parents[1] / "recorded" / "detectron2"

# Logits of the background, with which 20 to 100 objects are found.
_BACKGROUND = {
    "keypoint_rcnn_r50_fpn_coco": 4.0,
    "r50_fpn_coco": 8.0,
    "r101_fpn_coco": 10.1,
    "x101_fpn_coco": 12.0,
    "r50_fpn_cityscapes": 4.8,
    "r50_c4_coco": 11.0,
    "r50_dc5_coco": 6.0,
}


@dataclass(frozen=True)
class Case:
    """One model on one image: `name` is of `list_models`, sizes are in pixels."""

    name: str
    height: int = 180
    width: int = 240
    short_edge: int = 256
    seed: int = 0

    @property
    def known(self) -> KnownModel:
        """The model; of those without a pyramid, with fewer boxes, which res5 is slow on."""
        known = KNOWN_MODELS[self.name]
        if known.model.features == "fpn":
            return known
        detector = known.model.detector.model_copy(update={"roi_batch_per_image": 128})
        return dataclasses.replace(
            known,
            model=known.model.model_copy(update={"detector": detector}),
            inference=InferenceSettings(test=DetectionAtTest(rpn_post_nms=200)),
        )

    @property
    def input(self) -> InputSettings:
        return InputSettings(test_short_edge_px=self.short_edge, max_long_edge_px=1333)

    @property
    def trunk(self) -> str:
        return self.name.removeprefix("mask_rcnn_").removeprefix("pointrend_")

    @property
    def recording(self) -> Path:
        return RECORDED / f"{self.name}.npz"


CASES = {
    name: Case(name)
    for name, known in KNOWN_MODELS.items()
    if isinstance(known.model, ModelSettings)
    and name.startswith(("mask_rcnn_", "pointrend_"))
    and Case(name).trunk in _BACKGROUND
}

KEYPOINT_CASE = Case("keypoint_rcnn_r50_fpn_coco")


def make_model(case: Case) -> MaskRCNN:
    """Our model with seeded weights of realistic scale, which find a few dozen objects."""
    model = build_mask_rcnn(case.known.model, num_classes=len(case.known.categories))
    state = model.state_dict()
    pixel_scale = 60.0 / np.mean(case.known.model.backbone.pixel_std)
    for name in sorted(state):
        array = _weights(name, tuple(state[name].shape), case.seed, pixel_scale)
        state[name] = torch.from_numpy(array)
    state["box_head.cls_score.bias"][-1] = _BACKGROUND[case.trunk]
    model.load_state_dict(state)
    return model.eval()


def _weights(name: str, shape: tuple[int, ...], seed: int, pixel_scale: float) -> np.ndarray:
    rng = _generator(seed, name)
    if ".norm." in name:
        return _norm(name, shape, rng, pixel_scale).astype(np.float32)
    if name.endswith(".bias"):
        return (0.05 * rng.standard_normal(shape)).astype(np.float32)
    fan_in = int(np.prod(shape[1:]))
    if name == "mask_head.deconv.weight":  # (in, out, 2, 2): one weight a channel and pixel
        fan_in = shape[0]
    array = rng.standard_normal(shape)
    if len(shape) == 2 or "predictor" in name:
        # What all inputs share says nothing of a box: without it, boxes get different classes.
        array -= array.mean(axis=1, keepdims=True)
    return (_gain(name) / np.sqrt(fan_in) * array).astype(np.float32)


def _norm(
    name: str, shape: tuple[int, ...], rng: np.random.Generator, pixel_scale: float
) -> np.ndarray:
    kind = name.rsplit(".", 1)[1]
    if kind in ("bias", "running_mean"):
        return 0.1 * rng.standard_normal(shape)
    values = rng.uniform(0.8, 1.25, shape)
    if kind == "weight" and "conv3." in name:
        return 0.15 * values  # else activations double with every block
    if kind == "running_var" and "stem" in name:
        return pixel_scale**2 * values
    return values


def _gain(name: str) -> float:
    """Standard deviation of a layer's output for inputs of mean square one."""
    gains = {
        "backbone.fpn.": 0.6,
        "rpn.objectness_logits.": 1.0,
        "rpn.anchor_deltas.": 0.3,
        "box_head.cls_score.": 2.0,
        "box_head.bbox_pred.": 1.0,
        "mask_head.predictor.": 2.0,
        "mask_head.coarse_head.prediction.": 1.0,
        "mask_head.point_head.predictor.": 2.0,
    }
    found = [gain for prefix, gain in gains.items() if name.startswith(prefix)]
    return found[0] if found else float(np.sqrt(2.0))


def make_image(case: Case) -> np.ndarray:
    """A picture of coloured shapes and some texture, (H, W, 3) uint8 RGB."""
    rng = _generator(case.seed, "image")
    picture = Image.new("RGB", (case.width, case.height), tuple(rng.integers(0, 256, 3).tolist()))
    draw = ImageDraw.Draw(picture)
    for _ in range(24):
        x, y = rng.uniform(0, case.width), rng.uniform(0, case.height)
        w, h = rng.uniform(0.05, 0.5, 2) * case.width / 2
        colour = tuple(rng.integers(0, 256, 3).tolist())
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape([x - w / 2, y - h / 2, x + w / 2, y + h / 2], fill=colour)
    smooth = np.asarray(picture.filter(ImageFilter.GaussianBlur(1)), dtype=np.float64)
    return np.clip(smooth + rng.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)


def make_target(case: Case, height: int, width: int) -> Target:
    """Objects for one training step, ellipses in boxes; the image is (height, width)."""
    rng = _generator(case.seed, "target")
    y, x = np.mgrid[:height, :width] + 0.5
    boxes, masks = [], []
    for _ in range(6):
        w, h = rng.uniform(0.1, 0.6, 2) * (width, height)
        x0, y0 = rng.uniform(0, 1, 2) * (width - w, height - h)
        boxes.append([x0, y0, x0 + w, y0 + h])
        ellipse = ((x - x0 - w / 2) / w) ** 2 + ((y - y0 - h / 2) / h) ** 2
        masks.append(ellipse <= 0.25)
    return Target(
        boxes=torch.tensor(boxes, dtype=torch.float32),
        labels=torch.from_numpy(rng.integers(0, len(case.known.categories), 6)),
        masks=torch.from_numpy(np.stack(masks)),
        keypoints=_keypoints(case, np.array(boxes)),
    )


def _keypoints(case: Case, boxes: np.ndarray) -> torch.Tensor | None:
    """Keypoints of objects, some of them outside their box, hidden, or not labelled."""
    if case.known.keypoints is None:
        return None
    rng = _generator(case.seed, "keypoints")
    shape = (len(boxes), len(case.known.keypoints.names))
    corner, size = boxes[:, None, :2], boxes[:, None, 2:] - boxes[:, None, :2]
    places = corner + size * rng.uniform(-0.1, 1.1, (*shape, 2))
    visibility = rng.integers(0, 3, (*shape, 1))
    return torch.from_numpy(np.concatenate([places, visibility], axis=2).astype(np.float32))


@contextlib.contextmanager
def seeded_sampling(seed: int) -> Iterator[None]:
    """Let `torch.rand` and `torch.randperm` draw from Philox, alike on both sides.

    Both projects draw points by the one, anchors and RoIs by the other, in the same order.
    """
    points, picks = _generator(seed, "points"), _generator(seed, "picks")
    rand, randperm = torch.rand, torch.randperm

    def seeded_rand(*size: int, **_: object) -> torch.Tensor:
        return torch.from_numpy(points.random(size, dtype=np.float32))

    def seeded_randperm(count: int, **_: object) -> torch.Tensor:
        return torch.from_numpy(picks.permutation(count))

    torch.rand, torch.randperm = seeded_rand, seeded_randperm  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.rand, torch.randperm = rand, randperm


def _generator(seed: int, name: str) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, zlib.crc32(name.encode())]))
