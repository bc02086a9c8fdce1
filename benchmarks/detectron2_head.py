"""detectron2's PointRend mask head with our weights, where it is installed."""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.inputs import FPN_CHANNELS, P2_STRIDE, MaskInputs
from pointrend_repro.checkpoints.detectron2_names import to_detectron2
from pointrend_repro.modeling.mask_heads.pointrend import PointRendHead
from pointrend_repro.tools.bench.case import NotInstalled

_PREFIX = "roi_heads.mask_head."


def detectron2_mask_head(inputs: MaskInputs, resolution: int) -> Callable[[], Tensor]:
    """Prepare detectron2's head; running it gives masks (R, M, M) bool.

    Raises:
        NotInstalled: there is no detectron2.
    """
    theirs = _build(inputs.head, resolution)
    from detectron2.structures import Boxes, Instances

    rows, columns = inputs.p2.shape[2:]

    @torch.no_grad()
    def run() -> Tensor:
        instances = Instances((rows * P2_STRIDE, columns * P2_STRIDE))
        instances.pred_boxes = Boxes(inputs.boxes)
        instances.pred_classes = inputs.labels
        (found,) = theirs({"p2": inputs.p2}, [instances])
        return found.pred_masks[:, 0] > 0.5

    return run


def _build(head: PointRendHead, resolution: int) -> torch.nn.Module:
    try:
        from detectron2.config import get_cfg
        from detectron2.layers import ShapeSpec
        from detectron2.projects import point_rend
        from detectron2.projects.point_rend.mask_head import PointRendMaskHead
    except ImportError as error:
        raise NotInstalled("detectron2") from error
    device = head.coarse_head.reduce.weight.device
    cfg = get_cfg()
    point_rend.add_pointrend_config(cfg)
    cfg.MODEL.DEVICE = str(device)
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = head.coarse_head.num_classes
    cfg.MODEL.POINT_HEAD.NUM_CLASSES = head.coarse_head.num_classes
    # Its Base-PointRend-RCNN-FPN.yaml.
    mask_head = cfg.MODEL.ROI_MASK_HEAD
    mask_head.IN_FEATURES = cfg.MODEL.POINT_HEAD.IN_FEATURES = ["p2"]
    mask_head.POINT_HEAD_ON = True
    mask_head.CONV_DIM, mask_head.FC_DIM, mask_head.NUM_FC = FPN_CHANNELS, 1024, 2
    mask_head.OUTPUT_SIDE_RESOLUTION, mask_head.POOLER_RESOLUTION = 7, 14
    cfg.MODEL.POINT_HEAD.SUBDIVISION_STEPS = (resolution // 7).bit_length() - 1
    theirs = PointRendMaskHead(cfg, {"p2": ShapeSpec(channels=FPN_CHANNELS, stride=P2_STRIDE)})
    state = to_detectron2({f"mask_head.{k}": v for k, v in head.state_dict().items()})
    theirs.load_state_dict({name.removeprefix(_PREFIX): value for name, value in state.items()})
    return theirs.eval().to(device)
