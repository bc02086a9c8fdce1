"""Records what mmdetection's Hybrid Task Cascade makes of `mmdetection_htc_cases.py`.

    pip install --no-deps mmdet==3.3.0 mmengine mmcv-lite==2.1.0 addict yapf==0.40.1 terminaltables
    python tests/modeling/record_mmdetection_htc.py

Run it in an environment of its own, with this project's packages beside these. Writes
tests/recorded/mmdetection_htc.npz: boxes, scores, labels, mask logits of each stage, predicted
IoUs, losses of a training step, the names and shapes of its state dicts, and versions. Inputs and
weights are not stored: they are made from seeds.

mmdetection 3.3 has no cascade with mask scoring. The 3D-FUTURE report's code (mmdetection 1.1,
`detectors/htc_msscore.py`) adds the head of Mask Scoring R-CNN to the last stage, as is done here.
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
import torchvision
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox2roi
from mmdet.structures.mask import BitmapMasks
from mmdet.utils import register_all_modules
from mmdetection_htc_cases import (
    BOX_RESOLUTION,
    CHANNELS,
    DETECTIONS,
    HEIGHT_PX,
    HIDDEN,
    MASK_RESOLUTION,
    NMS_IOU,
    NUM_CLASSES,
    RECORDED,
    SAMPLES,
    SCORE_THRESHOLD,
    WIDTH,
    WIDTH_PX,
    make_features,
    make_model,
    make_proposals,
    make_target,
)
from mmengine.config import Config
from mmengine.structures import InstanceData

from pointrend_repro.checkpoints.mmdetection_names import from_mmdetection

_CONFIG = "htc/htc-without-semantic_r50_fpn_1x_coco.py"
_MASK_SCORING = "ms_rcnn/ms-rcnn_r50-caffe_fpn_1x_coco.py"


def main() -> None:
    torch.set_num_threads(1)
    register_all_modules()
    heads, scoring = build()
    maps = tuple(make_features().values())
    found = predict(heads, scoring, maps) | train(heads, scoring, maps)
    names = {f"roi_head.{name}": list(t.shape) for name, t in heads.state_dict().items()}
    names |= {
        f"roi_head.mask_iou_head.{name}": list(t.shape) for name, t in scoring.state_dict().items()
    }
    origin = {
        "mmdet": mmdet.__version__,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    texts = {
        "names": json.dumps(names),
        "names_of_htc_r50_fpn_coco": json.dumps(names_of_model(_CONFIG)),
        "names_of_mask_scoring_rcnn_r50_fpn_coco": json.dumps(names_of_model(_MASK_SCORING)),
        "origin": json.dumps(origin),
    }
    np.savez_compressed(RECORDED, **found, **{key: np.array(t) for key, t in texts.items()})
    losses = {key: float(v) for key, v in found.items() if key.startswith("loss")}
    print(len(found["scores"]), "objects", losses, RECORDED.stat().st_size, "bytes")


def names_of_model(path: str) -> dict[str, list[int]]:
    """Names and shapes of the whole model of one of its configurations."""
    config = _config(path)
    config.model.backbone.init_cfg = None
    with torch.device("meta"):
        model = MODELS.build(config.model)
    return {name: list(tensor.shape) for name, tensor in model.state_dict().items()}


def build() -> tuple[Any, Any]:
    """Its heads and its head of mask scores, with our weights."""
    config = _config(_CONFIG)
    of_heads, training = config.model.roi_head, config.model.train_cfg
    of_heads.bbox_roi_extractor.roi_layer.output_size = BOX_RESOLUTION
    of_heads.mask_roi_extractor.roi_layer.output_size = MASK_RESOLUTION
    for part in (of_heads.bbox_roi_extractor, of_heads.mask_roi_extractor):
        part.out_channels = CHANNELS
    for part in of_heads.bbox_head:
        part.update(in_channels=CHANNELS, fc_out_channels=HIDDEN, num_classes=NUM_CLASSES)
        part.roi_feat_size = BOX_RESOLUTION
    for part in of_heads.mask_head:
        part.update(in_channels=CHANNELS, conv_out_channels=WIDTH, num_classes=NUM_CLASSES)
    for part in training.rcnn:
        part.sampler.update(num=SAMPLES, pos_fraction=1.0)
        part.update(mask_size=2 * MASK_RESOLUTION, mask_thr_binary=0.5)
    testing = config.model.test_cfg.rcnn
    testing.update(score_thr=SCORE_THRESHOLD, max_per_img=DETECTIONS)
    testing.nms.iou_threshold = NMS_IOU
    heads = MODELS.build(of_heads | {"train_cfg": training.rcnn, "test_cfg": testing})
    scoring = MODELS.build(
        {
            "type": "MaskIoUHead",
            "roi_feat_size": MASK_RESOLUTION,
            "in_channels": CHANNELS,
            "conv_out_channels": WIDTH,
            "fc_out_channels": HIDDEN,
            "num_classes": NUM_CLASSES,
        }
    )
    ours = make_model().state_dict()
    for part, prefix in ((heads, "roi_head."), (scoring, "roi_head.mask_iou_head.")):
        renamed = from_mmdetection({prefix + name: name for name in part.state_dict()})
        part.load_state_dict({theirs: ours[name] for name, theirs in renamed.items()})
    return heads.eval(), scoring.eval()


@torch.no_grad()
def predict(heads: Any, scoring: Any, maps: tuple[torch.Tensor, ...]) -> dict[str, Any]:
    """Boxes as it predicts them; masks of every stage, which version 3.3 throws away."""
    proposals = InstanceData(bboxes=make_proposals())
    (found,) = heads.predict_bbox(maps, [_meta()], [proposals], heads.test_cfg, semantic_feat=None)
    rois = bbox2roi([found.bboxes])
    features = heads.mask_roi_extractor[-1](maps[:4], rois)
    rows, before, stages = torch.arange(len(rois)), None, []
    for head in heads.mask_head:
        logits, before = head(features, before)
        stages.append(logits[rows, found.labels])
    ious = scoring(features, sum(stages) / len(stages))[rows, found.labels]
    return {
        "boxes": found.bboxes.numpy(),
        "scores": found.scores.numpy(),
        "labels": found.labels.numpy(),
        # Every fourth cell is enough to tell a wrong mask.
        "mask_logits": torch.stack(stages)[:, :, 2::4, 2::4].numpy(),
        "ious": ious.numpy(),
    }


def train(heads: Any, scoring: Any, maps: tuple[torch.Tensor, ...]) -> dict[str, Any]:
    """Losses of one step; those of the last stage include the mask scores'."""
    target = make_target()
    sample = DetDataSample(metainfo=_meta())
    masks = BitmapMasks(target.masks.numpy().astype(np.uint8), HEIGHT_PX, WIDTH_PX)
    sample.gt_instances = InstanceData(bboxes=target.boxes, labels=target.labels, masks=masks)
    of_masks = heads.mask_loss

    def with_scores(**given: Any) -> Any:
        made, stage, sampling = of_masks(**given), given["stage"], given["sampling_results"]
        if stage == len(heads.mask_head) - 1:
            labels = torch.cat([each.pos_gt_labels for each in sampling])
            own = made["mask_preds"][torch.arange(len(labels)), labels]
            rois = bbox2roi([each.pos_priors for each in sampling])
            features = heads.mask_roi_extractor[stage](maps[:4], rois)
            said = scoring(features, own)[torch.arange(len(labels)), labels]
            # Probabilities: as Mask Scoring R-CNN says, one half of them is the threshold.
            scored = scoring.loss_and_target(
                said,
                own.sigmoid(),
                made["mask_targets"],
                sampling,
                given["batch_gt_instances"],
                heads.train_cfg[stage],
            )
            made["loss_mask"]["loss_mask_iou"] = scored["loss_mask_iou"]
        return made

    heads.mask_loss = with_scores
    heads.train()
    with torch.no_grad():
        losses = heads.loss(maps, [InstanceData(bboxes=make_proposals())], [sample])
    heads.eval()
    return {
        f"loss_{name.partition('.')[2].removeprefix('loss_')}_{int(name[1]) + 1}": value.item()
        for name, value in losses.items()
        if "loss" in name
    }


def _config(path: str) -> Config:
    return Config.fromfile(str(Path(mmdet.__file__).parent / ".mim/configs" / path))


def _meta() -> dict[str, Any]:
    size = (HEIGHT_PX, WIDTH_PX)
    return {"img_shape": size, "ori_shape": size, "scale_factor": (1.0, 1.0)}


if __name__ == "__main__":
    main()
