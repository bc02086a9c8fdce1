"""PointRend's mask head written plainly: what ours is measured against, and tested against.

It follows the paper (sections 3 and 4) and, where that leaves a choice, the published code
(detectron2 commit 02b5c4e2, projects/PointRend): maps are sampled in their own layout, every
point's inputs are concatenated before each layer, and the masks of all K classes are carried
through every step. Subdivision starts at the last grid that a step would predict whole, as in the
published code. It shares nothing with the package but the head's parameters.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from pointrend_repro.modeling.mask_heads.pointrend import PointRendHead

P2_STRIDE = 4


def predict_masks(
    head: PointRendHead,
    p2: Tensor,
    boxes: list[Tensor],
    labels: list[Tensor],
    *,
    output_resolution: int = 224,
    points_per_step: int = 784,
) -> Tensor:
    """Return mask logits (R, M, M) of each box's class, by way of those of all classes.

    Args:
        head: whose parameters to use.
        p2: (N, C, H, W), 4 image pixels a cell.
        boxes: N tensors (R_n, 4), xyxy in image pixels.
        labels: N tensors (R_n,), classes.
        output_resolution: M.
        points_per_step: N of the paper.
    """
    own = torch.arange(sum(len(b) for b in boxes)), torch.cat(labels)
    coarse = coarse_logits(head, p2, boxes)
    side = coarse.shape[-1]
    masks = None
    while side * 2 <= output_resolution and (side * 2) ** 2 <= points_per_step:
        side *= 2
    if side > coarse.shape[-1]:
        points = grid_points(side, p2.device).expand(len(coarse), -1, -1)
        masks = point_logits(head, p2, boxes, coarse, points).unflatten(2, (side, side))
    else:
        masks = coarse
    while side < output_resolution:
        side *= 2
        masks = F.interpolate(masks, scale_factor=2, mode="bilinear", align_corners=False)
        uncertainty = -masks[own].abs().flatten(1)
        index = uncertainty.topk(points_per_step, dim=1).indices
        points = grid_points(side, p2.device)[index]
        new = point_logits(head, p2, boxes, coarse, points)
        where = index.unsqueeze(1).expand_as(new)
        masks = masks.flatten(2).scatter_(2, where, new).unflatten(2, (side, side))
    return masks[own]


def coarse_logits(head: PointRendHead, p2: Tensor, boxes: list[Tensor]) -> Tensor:
    """Predict all classes' 7 x 7 masks from 14 x 14 points a box (section 4), (R, K, 7, 7)."""
    layers = head.coarse_head
    side = 2 * layers.resolution
    points = grid_points(side, p2.device).expand(sum(len(b) for b in boxes), -1, -1)
    x = sample_boxes(p2, boxes, points).unflatten(2, (side, side))
    x = F.relu(F.conv2d(x, layers.reduce.weight, layers.reduce.bias, stride=2)).flatten(1)
    for linear in (layers.fc1, layers.fc2):
        x = F.relu(F.linear(x, linear.weight, linear.bias))
    x = F.linear(x, layers.prediction.weight, layers.prediction.bias)
    return x.view(len(x), layers.num_classes, layers.resolution, layers.resolution)


def point_logits(
    head: PointRendHead, p2: Tensor, boxes: list[Tensor], coarse: Tensor, points: Tensor
) -> Tensor:
    """Predict all classes at points (R, P, 2) of the boxes: (R, K, P)."""
    at_points = sample(coarse, points)
    x = sample_boxes(p2, boxes, points)
    for layer in head.point_head.layers:
        x = F.relu(F.conv1d(torch.cat([x, at_points], dim=1), layer.weight, layer.bias))
    predictor = head.point_head.predictor
    return F.conv1d(torch.cat([x, at_points], dim=1), predictor.weight, predictor.bias)


def sample_boxes(p2: Tensor, boxes: list[Tensor], points: Tensor) -> Tensor:
    """Interpolate p2 at points (R, P, 2) in the frame of their boxes, image by image: (R, C, P)."""
    extent = p2.new_tensor([p2.shape[3], p2.shape[2]]) * P2_STRIDE
    sampled, first = [], 0
    for image, of_image in enumerate(boxes):
        here = points[first : first + len(of_image)]
        first += len(of_image)
        size = of_image[:, 2:] - of_image[:, :2]
        in_image = (of_image[:, None, :2] + here * size[:, None]) / extent
        flat = sample(p2[image : image + 1], in_image.reshape(1, -1, 2))
        sampled.append(flat[0].unflatten(1, here.shape[:2]).transpose(0, 1))
    return torch.cat(sampled)


def sample(maps: Tensor, points: Tensor) -> Tensor:
    """Interpolate maps (R, C, H, W) at points (R, P, 2) of [0, 1] x [0, 1]: (R, C, P)."""
    return F.grid_sample(maps, 2 * points.unsqueeze(2) - 1, align_corners=False).squeeze(3)


def grid_points(side: int, device: torch.device) -> Tensor:
    """Return the centres (side * side, 2) of a grid's cells, row by row."""
    centres = (torch.arange(side, device=device) + 0.5) / side
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack([x, y], dim=-1).view(-1, 2)
