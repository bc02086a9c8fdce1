"""PointRend's section 3 as pure functions on tensors: selecting points and sampling at them.

Shapes: R regions (boxes, or whole images), P points per region, C channels, H x W a feature map.

Frames: a point is (x, y). *Box-normalised* points lie in [0, 1] x [0, 1] of their region, where
(0, 0) is its upper left corner and (1, 1) its lower right corner; pixel (i, j) of an H x W grid
over the region has its centre at ((j + 0.5) / W, (i + 0.5) / H). *Image* points are in pixels of
the image that a feature map was computed from. Every interpolation treats pixels as areas, not as
corner points (`align_corners=False`): maps are sampled by `point_sample`, and tables of cells, as
made by the layers of the point head, in `modeling.rows`.

Source: PointRend, section 3.1 (point selection) and 3.2 (point-wise representation).
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from pointrend_repro.modeling.steps import rendered_steps


def point_sample(features: Tensor, points: Tensor) -> Tensor:
    """Interpolate feature maps bilinearly at points (section 3.2, fine-grained features).

    Args:
        features: (R, C, H, W).
        points: (R, P, 2), box-normalised over each map. Outside [0, 1] a map counts as zero.

    Returns:
        (R, C, P).
    """
    shapes_fit = features.dim() == 4 and points.dim() == 3 and points.shape[2] == 2
    if not shapes_fit or features.shape[0] != points.shape[0]:
        raise ValueError(
            f"expected features (R, C, H, W) and points (R, P, 2), "
            f"got {tuple(features.shape)} and {tuple(points.shape)}"
        )
    grid = 2.0 * points.unsqueeze(2) - 1.0  # grid_sample expects [-1, 1]
    return F.grid_sample(features, grid, mode="bilinear", align_corners=False).squeeze(3)


def regular_grid(height: int, width: int, *, device: torch.device | str = "cpu") -> Tensor:
    """Return the pixel centres of an H x W grid, (H * W, 2), box-normalised, row by row."""
    y = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) / height
    x = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) / width
    return torch.stack([x.repeat(height), y.repeat_interleave(width)], dim=1)


def image_points(points: Tensor, boxes: Tensor) -> Tensor:
    """Map box-normalised points into their boxes.

    Args:
        points: (R, P, 2), box-normalised.
        boxes: (R, 4), xyxy in pixels.

    Returns:
        (R, P, 2), in pixels.
    """
    corner, size = boxes[:, None, :2], boxes[:, None, 2:] - boxes[:, None, :2]
    return corner + points * size


def point_sample_in_boxes(
    features: Tensor, points: Tensor, boxes: list[Tensor], *, stride: float
) -> Tensor:
    """Sample a batch's feature maps at points inside boxes, each from the map of its own image.

    Args:
        features: (N, C, H, W), one map per image, `stride` image pixels per cell.
        points: (R, P, 2), box-normalised, in the order of the boxes of all images.
        boxes: N tensors (R_n, 4), xyxy in image pixels; R is the sum of the R_n.

    Returns:
        (R, C, P).
    """
    if features.shape[0] != len(boxes) or points.shape[0] != sum(b.shape[0] for b in boxes):
        raise ValueError(
            f"expected one map per image and points for each box, got {features.shape[0]} maps, "
            f"{points.shape[0]} regions of points and {[len(b) for b in boxes]} boxes per image"
        )
    height, width = features.shape[2:]
    sampled = []
    for image, points_of_image in enumerate(points.split([b.shape[0] for b in boxes])):
        x, y = image_points(points_of_image, boxes[image]).unbind(dim=2)
        where = torch.stack([x / (width * stride), y / (height * stride)], dim=2)
        # One image's regions share its map: sample them as one long list of points.
        flat = point_sample(features[image : image + 1], where.reshape(1, -1, 2))
        channels = flat.shape[1]
        sampled.append(flat.view(channels, boxes[image].shape[0], points.shape[1]).transpose(0, 1))
    return torch.cat(sampled)


def binary_uncertainty(logits: Tensor) -> Tensor:
    """Return how uncertain a foreground prediction is: 0 at probability 0.5, else negative.

    The paper measures |p - 0.5| (section 4); minus the absolute logit ranks points in the same
    order, does not saturate, and is what detectron2 uses.
    """
    return -logits.abs()


def sample_training_points(
    uncertainty_of: Callable[[Tensor], Tensor],
    num_regions: int,
    num_points: int,
    *,
    oversample_ratio: float,
    importance_ratio: float,
    device: torch.device | str = "cpu",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Choose the points of one training step (section 3.1, Training).

    (i) Over generation: k * N candidates, uniform. (ii) Importance sampling: the beta * N most
    uncertain of them. (iii) Coverage: the other (1 - beta) * N, fresh and uniform.

    Args:
        uncertainty_of: maps candidates (R, k * N, 2), box-normalised, to uncertainties
            (R, k * N), larger where less certain. It must interpolate the *prediction* and measure
            uncertainty there: interpolating uncertainties hides the zero crossing between a
            confidently positive and a confidently negative cell.
        num_regions: R.
        num_points: N.
        oversample_ratio: k, at least 1.
        importance_ratio: beta, in [0, 1].

    Returns:
        (R, N, 2), box-normalised; the uncertain points come first.
    """
    if oversample_ratio < 1 or not 0 <= importance_ratio <= 1:
        raise ValueError(
            f"needs k >= 1 and 0 <= beta <= 1, got k={oversample_ratio}, beta={importance_ratio}"
        )
    num_important = int(importance_ratio * num_points)

    def uniform(count: int) -> Tensor:
        return torch.rand(num_regions, count, 2, device=device, generator=generator)

    candidates = uniform(math.ceil(oversample_ratio * num_points))
    with torch.no_grad():
        # A diverged model must get as far as its loss, which names the images: on a GPU, topk of
        # NaN gives indices that crash the process (detectron2 issues 1403 and 1455).
        scores = uncertainty_of(candidates).nan_to_num()
        order = scores.topk(num_important, dim=1).indices
    important = candidates.gather(1, order.unsqueeze(2).expand(-1, -1, 2))
    return torch.cat([important, uniform(num_points - num_important)], dim=1)


def most_uncertain_points(uncertainty: Tensor, num_points: int) -> tuple[Tensor, Tensor]:
    """Find the most uncertain cells of a grid.

    Args:
        uncertainty: (R, H, W), larger where less certain.
        num_points: N, at most H * W.

    Returns:
        Indices (R, N) into the flattened grid, and the cells' centres (R, N, 2), box-normalised.
    """
    regions, height, width = uncertainty.shape
    if num_points > height * width:
        raise ValueError(f"expected {num_points} points of a {height}x{width} grid")
    index = uncertainty.reshape(regions, height * width).topk(num_points, dim=1).indices
    x = (index % width).to(uncertainty.dtype)
    y = torch.div(index, width, rounding_mode="floor").to(uncertainty.dtype)
    points = torch.stack([(x + 0.5) / width, (y + 0.5) / height], dim=2)
    return index, points


def render_masks(
    coarse_logits: Tensor,
    predict_points: Callable[[Tensor], Tensor],
    *,
    output_resolution: int,
    points_per_step: int,
) -> Tensor:
    """Render masks coarse to fine by adaptive subdivision (section 3.1, Inference; Figure 4).

    Each step doubles the grid by bilinear interpolation and predicts the N most uncertain points
    again. Only `rendered_steps` are carried out: the masks are those of the full procedure, with
    fewer predictions.

    Args:
        coarse_logits: (R, M0, M0).
        predict_points: maps points (R, P, 2), box-normalised, to logits (R, P).
        output_resolution: M.
        points_per_step: N.

    Returns:
        Logits (R, M, M).
    """
    if coarse_logits.dim() != 3 or coarse_logits.shape[1] != coarse_logits.shape[2]:
        raise ValueError(f"expected coarse logits (R, M0, M0), got {tuple(coarse_logits.shape)}")
    # The steps do not depend on the data, so an exported graph may unroll them.
    regions, start = coarse_logits.shape[0], int(coarse_logits.shape[1])
    logits = coarse_logits
    for side, count in rendered_steps(start, output_resolution, points_per_step):
        if count == side * side:
            grid = regular_grid(side, side, device=logits.device)
            points = grid.unsqueeze(0).expand(regions, -1, -1)
            logits = predict_points(points).view(regions, side, side)
            continue
        logits = F.interpolate(
            logits.unsqueeze(1), size=(side, side), mode="bilinear", align_corners=False
        ).squeeze(1)
        index, points = most_uncertain_points(binary_uncertainty(logits), count)
        logits = logits.flatten(1).scatter(1, index, predict_points(points)).view_as(logits)
    return logits
