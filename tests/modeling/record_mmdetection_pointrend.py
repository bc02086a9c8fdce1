"""Records what mmdetection's PointRend and trunks make of `mmdetection_pointrend_cases.py`.

    pip install --no-deps mmdet==3.3.0 mmengine mmcv-lite==2.1.0 addict yapf==0.40.1 terminaltables
    python tests/modeling/record_mmdetection_pointrend.py

Run it in an environment of its own, with this project's packages beside these. Writes
tests/recorded/mmdetection_pointrend.npz: boxes, scores, labels and mask logits of a whole model,
maps of trunks with GC blocks, the names and shapes of state dicts, and versions.
"""

import importlib.util
import json
import platform
from pathlib import Path
from typing import Any

import mmdetection_operators

# isort: split
import mmcv
import mmdet
import numpy as np
import torch
import torchvision
from mmdetection_pointrend_cases import (
    CHANNELS,
    CHANNELS_OF_TRUNK,
    DETECTIONS,
    HEIGHT_PX,
    HIDDEN,
    NUM_CLASSES,
    PROPOSALS,
    RECORDED,
    STEM,
    TRUNKS,
    WIDTH_PX,
    make_image,
    make_model,
    make_weights,
)

from pointrend_repro.checkpoints.mmdetection_names import from_mmdetection
from pointrend_repro.checkpoints.torchvision_names import from_torchvision
from pointrend_repro.modeling.resnet import ResNet

_CONFIG = "point_rend/point-rend_r50-caffe_fpn_ms-1x_coco.py"


def _use_mmcvs_points() -> None:
    """Its sampling at points is Python alone, and needs no compiled operators."""
    path = Path(mmcv.__file__).parent / "ops" / "point_sample.py"
    spec = importlib.util.spec_from_file_location("mmcv_point_sample", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("SimpleRoIAlign", "point_sample", "rel_roi_point_to_rel_img_point"):
        mmdetection_operators.KNOWN[name] = getattr(module, name)


_use_mmcvs_points()

from mmdet.registry import MODELS  # noqa: E402
from mmdet.structures import DetDataSample  # noqa: E402
from mmdet.structures.bbox import bbox2roi  # noqa: E402
from mmdet.utils import register_all_modules  # noqa: E402
from mmengine.config import Config  # noqa: E402


def main() -> None:
    torch.set_num_threads(1)
    register_all_modules()
    found = detect(build())
    names: dict[str, Any] = {"names": _shapes(_published())}
    for name, arguments in TRUNKS.items():
        trunk = _trunk(name, arguments)
        names[f"names_of_{name}"] = _shapes(trunk)
        with torch.no_grad():
            for stage, each in enumerate(trunk(make_image()[None] / 128 - 1), 2):
                found[f"{name}.res{stage}"] = each[:, ::8].numpy()
    names["origin"] = {
        "mmdet": mmdet.__version__,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    texts = {key: np.array(json.dumps(value)) for key, value in names.items()}
    np.savez_compressed(RECORDED, **found, **texts)
    print(len(found["scores"]), "objects", RECORDED.stat().st_size, "bytes")


def build() -> Any:
    """Its model, narrow and with our weights."""
    config = _config().model
    config.backbone.update(init_cfg=None, base_channels=STEM)
    config.neck.update(in_channels=list(CHANNELS_OF_TRUNK), out_channels=CHANNELS)
    config.rpn_head.update(in_channels=CHANNELS, feat_channels=CHANNELS)
    heads = config.roi_head
    heads.bbox_roi_extractor.out_channels = heads.mask_roi_extractor.out_channels = CHANNELS
    own = {"in_channels": CHANNELS, "num_classes": NUM_CLASSES}
    heads.bbox_head.update(own, fc_out_channels=HIDDEN)
    heads.mask_head.update(own, conv_out_channels=CHANNELS, fc_out_channels=HIDDEN)
    heads.point_head.update(own, fc_channels=CHANNELS)
    config.test_cfg.rpn.update(nms_pre=200, max_per_img=PROPOSALS)
    config.test_cfg.rcnn.update(max_per_img=DETECTIONS)
    model = MODELS.build(config)
    ours = make_model().state_dict()
    renamed = from_mmdetection({name: name for name in model.state_dict()})
    model.load_state_dict({theirs: ours[n] for n, theirs in renamed.items()}, strict=False)
    return model.eval()


@torch.no_grad()
def detect(model: Any) -> dict[str, Any]:
    """Boxes as it predicts them, and the logits of their masks, which it only pastes."""
    mean = torch.tensor(_config().model.data_preprocessor.mean)
    image = make_image().flip(0) - mean[:, None, None]
    size = (HEIGHT_PX, WIDTH_PX)
    meta = {"img_shape": size, "ori_shape": size, "scale_factor": (1.0, 1.0)}
    maps = model.extract_feat(image[None])
    proposals = model.rpn_head.predict(maps, [DetDataSample(metainfo=meta)], rescale=False)
    heads = model.roi_head
    (found,) = heads.predict_bbox(maps, [meta], proposals, heads.test_cfg)
    rois = bbox2roi([found.bboxes])
    coarse = heads._mask_forward(maps, rois)["mask_preds"]
    masks = heads._mask_point_forward_test(maps, rois, found.labels, coarse)
    own = masks[torch.arange(len(masks)), found.labels]
    return {
        "boxes": found.bboxes.numpy(),
        "scores": found.scores.numpy(),
        "labels": found.labels.numpy(),
        "mask_logits": own[:, 3::8, 3::8].numpy(),  # enough to tell a wrong mask
    }


def _trunk(name: str, arguments: dict[str, Any]) -> Any:
    context = {"type": "ContextBlock", "ratio": 1 / 4}
    plugin = {"cfg": context, "stages": (False, True, True, True), "position": "after_conv3"}
    trunk = MODELS.build(
        arguments | {"depth": 50, "base_channels": STEM, "stem_channels": STEM, "plugins": [plugin]}
    )
    ours = ResNet(name, norm="frozen_bn", stride_in_1x1=False, freeze_at=0, context_ratio=1 / 4)
    weights = make_weights(ours.state_dict().items())
    renamed = from_torchvision({n: n for n in trunk.state_dict()})
    trunk.load_state_dict({theirs: weights[n] for n, theirs in renamed.items()}, strict=False)
    trunk.eval()  # its Res2Net returns nothing
    return trunk


def _published() -> Any:
    """The model whose weights mmdetection offers, without allocating them."""
    config = _config().model
    config.backbone.init_cfg = None
    with torch.device("meta"):
        return MODELS.build(config)


def _shapes(model: Any) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in model.state_dict().items()}


def _config() -> Config:
    return Config.fromfile(str(Path(mmdet.__file__).parent / ".mim/configs" / _CONFIG))


if __name__ == "__main__":
    main()
