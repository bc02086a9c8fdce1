"""detectron2's models on a case; importing this needs detectron2.

Used by `record_detectron2.py` and by the tests that run detectron2 itself.
"""

import copy
from pathlib import Path

import detectron2
import numpy as np
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import CfgNode, get_cfg
from detectron2.data.transforms import ResizeShortestEdge
from detectron2.modeling import build_model
from detectron2.projects import point_rend
from detectron2.structures import BitMasks, Boxes, Instances, Keypoints
from detectron2.utils.events import EventStorage
from detectron2_cases import Case, make_image, make_target, seeded_sampling

from pointrend_repro.checkpoints.detectron2_names import to_detectron2
from pointrend_repro.modeling.detector import MaskRCNN

# Read as files: its `model_zoo` needs pkg_resources, which setuptools has no more.
ZOO = Path(detectron2.__file__).parent / "model_zoo/configs"

# It has no configurations of PointRend: they are these, with `_set_pointrend` on top.
_CONFIGS = {
    "keypoint_rcnn_r50_fpn_coco": "COCO-Keypoints/keypoint_rcnn_R_50_FPN_3x.yaml",
    "r50_fpn_coco": "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml",
    "r101_fpn_coco": "COCO-InstanceSegmentation/mask_rcnn_R_101_FPN_3x.yaml",
    "x101_fpn_coco": "COCO-InstanceSegmentation/mask_rcnn_X_101_32x8d_FPN_3x.yaml",
    "r50_c4_coco": "COCO-InstanceSegmentation/mask_rcnn_R_50_C4_3x.yaml",
    "r50_dc5_coco": "COCO-InstanceSegmentation/mask_rcnn_R_50_DC5_3x.yaml",
    "r50_fpn_cityscapes": "Cityscapes/mask_rcnn_R_50_FPN.yaml",
}


def build_detectron2(case: Case) -> torch.nn.Module:
    """detectron2's own model of the case's name, with its own random weights."""
    cfg = get_cfg()
    point_rend.add_pointrend_config(cfg)
    cfg.merge_from_file(str(ZOO / _CONFIGS[case.trunk]))
    if case.name.startswith("pointrend"):
        _set_pointrend(cfg)
    known = case.known
    cfg.MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE = known.model.detector.roi_batch_per_image
    cfg.MODEL.RPN.POST_NMS_TOPK_TEST = known.inference.test.rpn_post_nms or 1000
    if case.known.keypoints is not None:
        _train_as_we_do(cfg)
    cfg.MODEL.DEVICE = "cpu"
    return build_model(cfg).eval()


def _train_as_we_do(cfg: CfgNode) -> None:
    """Undo what its keypoint models change in the training of boxes, for which we have no setting.

    Instead of these they have 1500 proposals, and a smooth L1 loss with beta 0.5.
    """
    cfg.MODEL.RPN.POST_NMS_TOPK_TRAIN = 1000
    cfg.MODEL.ROI_BOX_HEAD.SMOOTH_L1_BETA = 0.0


def _set_pointrend(cfg: CfgNode) -> None:
    """What its configs/InstanceSegmentation/Base-PointRend-RCNN-FPN.yaml sets."""
    cfg.MODEL.ROI_BOX_HEAD.TRAIN_ON_PRED_BOXES = True
    cfg.MODEL.ROI_MASK_HEAD.POOLER_TYPE = ""
    cfg.MODEL.ROI_MASK_HEAD.NAME = "PointRendMaskHead"
    cfg.MODEL.ROI_MASK_HEAD.POINT_HEAD_ON = True
    cfg.MODEL.POINT_HEAD.NUM_CLASSES = cfg.MODEL.ROI_HEADS.NUM_CLASSES


def copy_weights(ours: MaskRCNN, theirs: torch.nn.Module) -> None:
    """Load our weights into detectron2's model."""
    missing, unexpected = theirs.load_state_dict(to_detectron2(ours.state_dict()), strict=False)
    assert not missing, missing
    assert not unexpected, unexpected


def load_file(theirs: torch.nn.Module, path: Path) -> None:
    """Load a checkpoint as detectron2 does it."""
    found = DetectionCheckpointer(theirs).resume_or_load(str(path), resume=False)
    assert found is not None


def predict_detectron2(theirs: torch.nn.Module, case: Case) -> dict[str, np.ndarray]:
    """Predict as detectron2's DefaultPredictor does: boxes, scores, labels, masks or keypoints."""
    image = make_image(case)
    with torch.no_grad():
        (output,) = theirs([_input(image, case)])
    found = output["instances"]
    parts = {"masks": "pred_masks", "keypoints": "pred_keypoints"}
    return {
        "boxes": found.pred_boxes.tensor.numpy(),
        "scores": found.scores.numpy(),
        "labels": found.pred_classes.numpy(),
        **{ours: found.get(name).numpy() for ours, name in parts.items() if found.has(name)},
    }


def train_detectron2(
    theirs: torch.nn.Module, case: Case
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Losses of one training step, drawn by `seeded_sampling`, and the RoIs that it drew."""
    example = _input(make_image(case), case)
    height, width = example["image"].shape[1:]
    target = make_target(case, height, width)
    instances = Instances((height, width))
    instances.gt_boxes = Boxes(target.boxes)
    instances.gt_classes = target.labels
    instances.gt_masks = BitMasks(target.masks)
    if target.keypoints is not None:
        instances.gt_keypoints = Keypoints(target.keypoints)
    drawn = _remember_sample(theirs)
    theirs.train()
    with seeded_sampling(case.seed), EventStorage():
        losses = theirs([example | {"instances": instances}])
    theirs.eval()
    return {name: value.item() for name, value in losses.items()}, {
        "roi_boxes": drawn[0].proposal_boxes.tensor.numpy(),
        "roi_labels": drawn[0].gt_classes.numpy(),
        "roi_matched": torch.cdist(drawn[0].gt_boxes.tensor, target.boxes).argmin(dim=1).numpy(),
    }


def _remember_sample(theirs: torch.nn.Module) -> list[Instances]:
    drawn: list[Instances] = []
    sample = theirs.roi_heads.label_and_sample_proposals

    def remembering(proposals, targets):
        sampled = sample(proposals, targets)
        # Copies: the boxes are refined in place before the masks are trained.
        drawn[:] = copy.deepcopy(sampled)
        return sampled

    theirs.roi_heads.label_and_sample_proposals = remembering
    return drawn


def _input(image: np.ndarray, case: Case) -> dict[str, object]:
    resize = ResizeShortestEdge([case.short_edge] * 2, case.input.max_long_edge_px)
    bgr = image[:, :, ::-1]  # every model here has Caffe2's channel order
    resized = resize.get_transform(bgr).apply_image(bgr)
    tensor = torch.from_numpy(np.ascontiguousarray(resized.transpose(2, 0, 1)).astype("float32"))
    return {"image": tensor, "height": image.shape[0], "width": image.shape[1]}
