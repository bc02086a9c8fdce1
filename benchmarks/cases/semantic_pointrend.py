"""PointRend on SemanticFPN's logits: 19 classes, from 256x512 to 1024x2048, without the decoder.

The coarse logits and the features are given; the sides turn them into a label map of full
resolution, or, where their name says so, into the logits that it is made of.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.inputs import FPN_CHANNELS, P2_STRIDE, feature_map
from benchmarks.peers import importing_detectron2
from pointrend_repro.modeling.semantic.point_refine import PointRefiner
from pointrend_repro.settings.semantic import SemanticPointRendSettings
from pointrend_repro.tools.bench.case import Case, Size

MAX_DIFFERING_SHARE = 0.0005
_CLASSES = 19
_HEIGHTS = {"full": 1024, "tiny": 64}
_POINTS = {"full": 8192, "tiny": 100}
# detectron2's choices where it differs from the paper.
_SETTINGS = SemanticPointRendSettings(
    train_points=2048, coarse_in_each_layer=False, uncertainty="logits"
)


class Inputs:
    """A point head, coarse logits (1, K, h, w), P2 at the same resolution, and what to reach."""

    def __init__(self, size: Size, device: str) -> None:
        self.height, self.points = _HEIGHTS[size], _POINTS[size]
        self.size = self.height, 2 * self.height
        generator = torch.Generator().manual_seed(0)
        torch.manual_seed(0)
        rows, columns = self.height // P2_STRIDE, 2 * self.height // P2_STRIDE
        rough = torch.randn(1, _CLASSES, rows // 16 + 1, columns // 16 + 1, generator=generator)
        self.coarse = 4 * F.interpolate(rough, size=(rows, columns), mode="bicubic").to(device)
        self.p2 = feature_map(rows, columns, generator).to(device)
        refiner = PointRefiner(FPN_CHANNELS, _CLASSES, _SETTINGS)
        torch.nn.init.normal_(refiner.point_head.predictor.weight, std=0.1)
        self.refiner = refiner.eval().requires_grad_(False).to(device)


def make(size: Size, device: str) -> Case:
    inputs = Inputs(size, device)
    return Case(
        settings={
            "classes": _CLASSES,
            "output_size": list(inputs.size),
            "points_per_step": inputs.points,
            "steps": 2,
            "dtype": "float32",
        },
        sides={
            "ours": lambda: ours(inputs),
            "ours, logits": lambda: our_logits(inputs),
            "yardstick": lambda: labels_of(plain(inputs)),
            "detectron2": lambda: labels_of(detectron2(inputs)),
            "detectron2, logits": lambda: detectron2(inputs),
        },
        compare=compare,
    )


def ours(inputs: Inputs) -> Callable[[], Tensor]:
    @torch.no_grad()
    def run() -> Tensor:
        return inputs.refiner.labels(
            inputs.coarse, inputs.p2, inputs.size, points_per_step=inputs.points
        )

    return run


def labels_of(logits: Callable[[], Tensor]) -> Callable[[], Tensor]:
    return lambda: logits().argmax(dim=1)


def our_logits(inputs: Inputs) -> Callable[[], Tensor]:
    @torch.no_grad()
    def run() -> Tensor:
        for step in inputs.refiner.steps(
            inputs.coarse, inputs.p2, inputs.size, points_per_step=inputs.points
        ):
            logits = step.logits
        return logits

    return run


def plain(inputs: Inputs) -> Callable[[], Tensor]:
    """Prepare the paper's section 5 written plainly, in the maps' own layout."""
    head = inputs.refiner.point_head

    @torch.no_grad()
    def run() -> Tensor:
        logits = inputs.coarse
        while logits.shape[2] < inputs.height:
            logits = F.interpolate(logits, scale_factor=2, mode="bilinear", align_corners=False)
            height, width = logits.shape[2:]
            first, second = logits.topk(2, dim=1).values.unbind(1)
            index = (second - first).flatten(1).topk(inputs.points, dim=1).indices
            x, y = (index % width + 0.5) / width, (index // width + 0.5) / height
            grid = torch.stack([x, y], dim=2).unsqueeze(2) * 2 - 1
            fine, coarse = (
                F.grid_sample(each, grid, align_corners=False).squeeze(3)
                for each in (inputs.p2, inputs.coarse)
            )
            values = torch.cat([fine, coarse], dim=1)
            for layer in head.layers:
                values = F.relu(layer(values))
            new = head.predictor(values)
            where = index.unsqueeze(1).expand_as(new)
            logits = logits.flatten(2).scatter(2, where, new).view_as(logits)
        return logits

    return run


def detectron2(inputs: Inputs) -> Callable[[], Tensor]:
    with importing_detectron2():
        from detectron2.config import get_cfg
        from detectron2.layers import ShapeSpec
        from detectron2.projects import point_rend
        from detectron2.projects.point_rend.semantic_seg import PointRendSemSegHead
    cfg = get_cfg()
    point_rend.add_pointrend_config(cfg)
    # Its pointrend_semantic_R_101_FPN_1x_cityscapes.yaml.
    head = cfg.MODEL.POINT_HEAD
    cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES = head.NUM_CLASSES = _CLASSES
    head.COARSE_SEM_SEG_HEAD_NAME, head.COARSE_PRED_EACH_LAYER = "SemSegFPNHead", False
    head.IN_FEATURES, head.SUBDIVISION_STEPS = ["p2"], 2
    head.SUBDIVISION_NUM_POINTS = inputs.points
    shapes = {
        f"p{level}": ShapeSpec(channels=FPN_CHANNELS, stride=2**level) for level in range(2, 6)
    }
    theirs = PointRendSemSegHead(cfg, shapes).eval().requires_grad_(False).to(inputs.p2.device)
    pairs = zip(
        [*theirs.point_head.fc_layers, theirs.point_head.predictor],
        [*inputs.refiner.point_head.layers, inputs.refiner.point_head.predictor],
        strict=True,
    )
    for layer, our_layer in pairs:
        layer.load_state_dict(our_layer.state_dict())
    # The decoder is not measured: its logits are given.
    theirs.coarse_sem_seg_head.layers = lambda _: inputs.coarse

    @torch.no_grad()
    def run() -> Tensor:
        logits, _ = theirs({"p2": inputs.p2})
        return logits

    return run


def compare(ours: Tensor, theirs: Tensor) -> dict[str, float]:
    labels = theirs if theirs.dim() == 3 else theirs.argmax(dim=1)
    differing = (labels != ours).float().mean().item()
    assert differing < MAX_DIFFERING_SHARE, f"{differing:.4%} of the pixels differ"
    return {"differing_pixels": differing, "classes": float(len(labels.unique()))}
