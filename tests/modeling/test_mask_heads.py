"""What the mask heads predict, against all-class computations and plain layers."""

import pytest
import torch
import torch.nn.functional as F
from mask_head_cases import (
    BOXES,
    HEADS,
    LABELS,
    NO_LABELS,
    NONE,
    NUM_CLASSES,
    mask_head,
    pyramid,
)
from torchvision.ops import roi_align

from benchmarks.yardstick import predict_masks
from pointrend_repro.modeling.mask_heads import pointrend
from pointrend_repro.modeling.mask_heads.pointrend import PointRendHead
from pointrend_repro.settings.heads import PointRendHeadSettings
from pointrend_repro.settings.instances import InferenceSettings


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


@pytest.mark.parametrize(("resolution", "points_per_step"), [(14, 500), (28, 60), (56, 400)])
def test_rendering_one_class_gives_the_masks_of_rendering_all(
    resolution: int, points_per_step: int
) -> None:
    head, features = mask_head("pointrend"), pyramid()
    settings = InferenceSettings(output_resolution=resolution, points_per_step=points_per_step)
    with torch.no_grad():
        got = head.predict(features, BOXES, LABELS, settings)
        wanted = predict_masks(
            head,
            features["p2"],
            BOXES,
            LABELS,
            output_resolution=resolution,
            points_per_step=points_per_step,
        )
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("points_at_a_time", [1, 100, 10**6])
def test_masks_do_not_depend_on_how_many_boxes_are_rendered_at_a_time(
    points_at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, features = mask_head("pointrend"), pyramid()
    settings = InferenceSettings(output_resolution=28, points_per_step=50)
    together = head.predict(features, BOXES, LABELS, settings)
    monkeypatch.setattr(pointrend, "_points_at_a_time", lambda device: points_at_a_time)
    monkeypatch.setattr(pointrend, "_COARSE_BOXES_AT_A_TIME", 2)
    torch.testing.assert_close(head.predict(features, BOXES, LABELS, settings), together)


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
