"""Records what mmdetection's SOLOv2 makes of `mmdetection_solov2_cases.py`.

    pip install --no-deps mmdet==3.3.0 mmengine mmcv-lite==2.1.0 addict yapf==0.40.1 terminaltables
    python tests/modeling/record_mmdetection_solov2.py

Run it in an environment of its own, with this project's packages beside these. Writes
tests/recorded/mmdetection_solov2.npz: scores, labels and masks of two images, losses of a training
step, the names and shapes of its state dict, and versions. Inputs and weights are not stored: they
are made from seeds.
"""

import json
import platform
from pathlib import Path
from typing import Any

import mmdetection_operators  # noqa: F401  # before mmdetection

# isort: split
import mmdet
import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures.mask import BitmapMasks
from mmdet.utils import register_all_modules
from mmdetection_solov2_cases import (
    CHANNELS,
    GRIDS,
    IMAGE_PX,
    INFERENCE,
    KERNELS,
    LAYERS,
    MAP_WIDTH,
    NUM_CLASSES,
    PADDED_PX,
    RANGES,
    RECORDED,
    SEEN_PX,
    WIDTH,
    make_features,
    make_model,
    make_targets,
)
from mmengine.config import Config
from mmengine.structures import InstanceData

from pointrend_repro.checkpoints.mmdetection_solov2_names import from_mmdetection_solov2


def main() -> None:
    torch.set_num_threads(1)
    register_all_modules()
    head = build()
    maps = tuple(make_features().values())
    found = predict(head, maps) | train(head, maps)
    origin = {
        "mmdet": mmdet.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    texts = {
        "names_of_model": json.dumps(names_of_model("solov2_r50_fpn_1x_coco")),
        "names_of_light_model": json.dumps(names_of_model("solov2-light_r50_fpn_ms-3x_coco")),
        "origin": json.dumps(origin),
    }
    np.savez_compressed(RECORDED, **found, **{key: np.array(t) for key, t in texts.items()})
    print([len(found[f"scores_{i}"]) for i in (0, 1)], RECORDED.stat().st_size, "bytes")
    print({key: float(value) for key, value in found.items() if key.startswith("loss")})


def names_of_model(config: str) -> dict[str, list[int]]:
    """Names and shapes of a whole model of its configurations."""
    read = _config(config)
    read.model.backbone.init_cfg = None
    with torch.device("meta"):
        model = MODELS.build(read.model)
    return {name: list(tensor.shape) for name, tensor in model.state_dict().items()}


def build() -> Any:
    """Its head with our weights."""
    model = _config("solov2_r50_fpn_1x_coco").model
    settings = model.mask_head
    settings.update(
        num_classes=NUM_CLASSES,
        in_channels=CHANNELS,
        feat_channels=WIDTH,
        stacked_convs=LAYERS,
        num_grids=list(GRIDS),
        scale_ranges=RANGES,
        norm_cfg={"type": "GN", "num_groups": WIDTH // 4, "requires_grad": True},
    )
    settings.mask_feature_head.update(
        feat_channels=MAP_WIDTH,
        out_channels=KERNELS,
        norm_cfg={"type": "GN", "num_groups": MAP_WIDTH // 4, "requires_grad": True},
    )
    testing = model.test_cfg
    testing.update(
        nms_pre=INFERENCE.candidates,
        score_thr=INFERENCE.score_threshold,
        filter_thr=INFERENCE.decayed_threshold,
        max_per_img=INFERENCE.detections_per_image,
    )
    head = MODELS.build(settings | {"train_cfg": None, "test_cfg": testing})
    ours = make_model().state_dict()
    renamed = from_mmdetection_solov2({f"mask_head.{name}": name for name in head.state_dict()})
    head.load_state_dict({theirs: ours[name] for name, theirs in renamed.items()})
    return head.eval()


@torch.no_grad()
def predict(head: Any, maps: tuple[torch.Tensor, ...]) -> dict[str, Any]:
    """What it finds in each image, at the image's own size."""
    results = head.predict_by_feat(*head(maps), _metas())
    found: dict[str, Any] = {}
    for number, result in enumerate(results):
        found[f"scores_{number}"] = result.scores.numpy()
        found[f"labels_{number}"] = result.labels.numpy()
        found[f"masks_{number}"] = np.packbits(result.masks.numpy())
    return found


@torch.no_grad()
def train(head: Any, maps: tuple[torch.Tensor, ...]) -> dict[str, Any]:
    """Losses of one step."""
    objects = []
    for target in make_targets():
        masks = np.zeros((len(target.masks), *PADDED_PX), dtype=np.uint8)
        masks[:, : target.masks.shape[1], : target.masks.shape[2]] = target.masks.numpy()
        objects.append(
            InstanceData(
                bboxes=target.boxes, labels=target.labels, masks=BitmapMasks(masks, *PADDED_PX)
            )
        )
    losses = head.loss_by_feat(*head(maps), objects, _metas())
    return {name: np.array(loss.item()) for name, loss in losses.items()}


def _config(name: str) -> Config:
    return Config.fromfile(str(Path(mmdet.__file__).parent / f".mim/configs/solov2/{name}.py"))


def _metas() -> list[dict[str, Any]]:
    pairs = zip(SEEN_PX, IMAGE_PX, strict=True)
    return [{"img_shape": seen, "ori_shape": image} for seen, image in pairs]


if __name__ == "__main__":
    main()
