"""What the mask heads predict, against all-class computations and plain layers."""

import pytest
import torch
import torch.nn.functional as F
from mask_head_cases import (
    BOXES,
    CHANNELS,
    HEADS,
    LABELS,
    NO_LABELS,
    NONE,
    NUM_CLASSES,
    mask_head,
    pyramid,
)
from torch import Tensor
from torchvision.ops import roi_align

from pointrend_repro.modeling.mask_heads.pointrend import PointRendHead
from pointrend_repro.modeling.points import point_sample, point_sample_in_boxes
from pointrend_repro.settings import InferenceSettings, PointRendHeadSettings


@pytest.mark.parametrize("resolution", [7, 14, 28, 56])
def test_pointrend_renders_the_resolution_that_it_is_asked_for(resolution: int) -> None:
    settings = InferenceSettings(output_resolution=resolution, points_per_step=60)
    masks = mask_head("pointrend").predict(pyramid(), BOXES, LABELS, settings)
    assert masks.shape == (4, resolution, resolution)
    assert masks.isfinite().all()


@pytest.mark.parametrize("roi_resolution", [7, 14])
def test_conv4_predicts_twice_its_roi_resolution(roi_resolution: int) -> None:
    head = mask_head("4conv", roi_resolution=roi_resolution)
    masks = head.predict(pyramid(), BOXES, LABELS, InferenceSettings())
    assert masks.shape == (4, 2 * roi_resolution, 2 * roi_resolution)


@pytest.mark.parametrize("kind", HEADS)
def test_no_boxes_in_one_image(kind: str) -> None:
    """The other image's masks are those that it has alone."""
    head, features = mask_head(kind), pyramid()
    settings = InferenceSettings(output_resolution=28, points_per_step=50)
    second = {name: f[1:] for name, f in features.items()}
    got = head.predict(features, [NONE, BOXES[1]], [NO_LABELS, LABELS[1]], settings)
    wanted = head.predict(second, [BOXES[1]], [LABELS[1]], settings)
    torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize(("kind", "side"), [("4conv", 28), ("pointrend", 28), ("sharpmask", 112)])
def test_no_boxes_at_all(kind: str, side: int) -> None:
    masks = mask_head(kind).predict(
        pyramid(), [NONE, NONE], [NO_LABELS, NO_LABELS], InferenceSettings(output_resolution=28)
    )
    assert masks.shape == (0, side, side)


def test_conv4_s_own_class_masks_are_those_of_all_classes() -> None:
    head, features = mask_head("4conv"), pyramid()
    got = head.predict(features, BOXES, LABELS, InferenceSettings())
    crops = []  # all these boxes are small enough for p2
    rois = [
        roi_align(features["p2"][i : i + 1], [b], 14, 0.25, 0, True) for i, b in enumerate(BOXES)
    ]
    x = torch.cat(rois)
    for conv in head.convs:
        x = F.relu(conv(x))
    crops = head.predictor(F.relu(head.deconv(x)))
    assert crops.shape == (4, NUM_CLASSES, 28, 28)
    wanted = torch.stack([crops[i, k] for i, k in enumerate(torch.cat(LABELS).tolist())])
    torch.testing.assert_close(got, wanted)


def test_point_head_s_own_class_is_that_of_all_classes() -> None:
    point_head = mask_head("pointrend").point_head
    fine, coarse = torch.randn(3, CHANNELS, 11), torch.randn(3, NUM_CLASSES, 11)
    labels = torch.tensor([3, 0, 3])
    x = fine
    for layer in point_head.layers:
        x = F.relu(F.conv1d(torch.cat([x, coarse], 1), layer.weight, layer.bias))
    x = torch.cat([x, coarse], 1)
    every_class = F.conv1d(x, point_head.predictor.weight, point_head.predictor.bias)
    wanted = torch.stack([every_class[i, k] for i, k in enumerate(labels.tolist())])
    torch.testing.assert_close(point_head(fine, coarse, labels), wanted)
    one_by_one = [
        point_head(fine[:, :, p : p + 1], coarse[:, :, p : p + 1], labels) for p in range(11)
    ]
    torch.testing.assert_close(torch.cat(one_by_one, 1), wanted)


def all_class_rendering(
    head: PointRendHead, features: dict[str, Tensor], resolution: int, points_per_step: int
) -> Tensor:
    """Section 4's inference, keeping the masks of all classes all the way as detectron2 does."""
    labels = torch.cat(LABELS)
    coarse = head.coarse_head(features, BOXES)
    masks = coarse
    own = torch.arange(len(labels)), labels
    while masks.shape[-1] < resolution:
        masks = F.interpolate(masks, scale_factor=2, mode="bilinear").clone()
        side = masks.shape[-1]
        count = min(points_per_step, side * side)
        order = masks[own].flatten(1).abs().argsort(dim=1)[:, :count]
        points = torch.stack([order % side + 0.5, order // side + 0.5], dim=2) / side
        fine = point_sample_in_boxes(features["p2"], points, BOXES, stride=4)
        at_points = point_sample(coarse, points)
        for k in range(NUM_CLASSES):
            logits = head.point_head(fine, at_points, torch.full_like(labels, k))
            flat = masks[:, k].flatten(1).scatter(1, order, logits)
            masks[:, k] = flat.view(-1, side, side)
    return masks[own]


@pytest.mark.parametrize(("resolution", "points_per_step"), [(14, 500), (28, 60), (56, 400)])
def test_rendering_one_class_gives_the_masks_of_rendering_all(
    resolution: int, points_per_step: int
) -> None:
    head, features = mask_head("pointrend"), pyramid()
    settings = InferenceSettings(output_resolution=resolution, points_per_step=points_per_step)
    with torch.no_grad():
        got = head.predict(features, BOXES, LABELS, settings)
        wanted = all_class_rendering(head, features, resolution, points_per_step)
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)


def test_a_box_s_mask_does_not_depend_on_other_boxes() -> None:
    head, features = mask_head("pointrend"), pyramid()
    settings = InferenceSettings(output_resolution=56, points_per_step=100)
    together = head.predict(features, BOXES, LABELS, settings)
    for i in range(3):
        boxes, labels = [BOXES[0][i : i + 1], NONE], [LABELS[0][i : i + 1], NO_LABELS]
        torch.testing.assert_close(
            head.predict(features, boxes, labels, settings), together[i : i + 1]
        )


def test_coarse_head_is_roi_align_and_its_layers() -> None:
    """14x14 points with one bilinear sample each, "a simple version of RoIAlign" (section 4)."""
    coarse_head, features = mask_head("pointrend").coarse_head, pyramid()
    x = roi_align(features["p2"], BOXES, 14, 0.25, sampling_ratio=1, aligned=True)
    x = F.relu(F.conv2d(x, coarse_head.reduce.weight, coarse_head.reduce.bias, stride=2)).flatten(1)
    x = F.relu(coarse_head.fc2(F.relu(coarse_head.fc1(x))))
    wanted = coarse_head.prediction(x).view(4, NUM_CLASSES, 7, 7)
    torch.testing.assert_close(coarse_head(features, BOXES), wanted, atol=1e-5, rtol=1e-4)


def test_the_paper_s_layer_sizes() -> None:
    head = PointRendHead(256, 80, PointRendHeadSettings(kind="pointrend"))
    shapes = {name: tuple(p.shape) for name, p in head.named_parameters() if "weight" in name}
    assert shapes == {
        "coarse_head.reduce.weight": (256, 256, 2, 2),
        "coarse_head.fc1.weight": (1024, 256 * 7 * 7),
        "coarse_head.fc2.weight": (1024, 1024),
        "coarse_head.prediction.weight": (80 * 7 * 7, 1024),
        "point_head.layers.0.weight": (256, 336, 1),
        "point_head.layers.1.weight": (256, 336, 1),
        "point_head.layers.2.weight": (256, 336, 1),
        "point_head.predictor.weight": (80, 336, 1),
    }
