"""The keypoint branch: its targets, its loss, and its place in the detector."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from test_detector import INFERENCE, detector, image, target
from torch import Tensor
from torchvision.models.detection.roi_heads import keypointrcnn_loss, keypoints_to_heatmap

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.structures import Proposals, Target
from pointrend_repro.modeling.build import build_mask_rcnn
from pointrend_repro.modeling.keypoint_head import KeypointHead
from pointrend_repro.modeling.keypoint_targets import keypoint_cells, with_keypoint_inside
from pointrend_repro.modeling.pooling import pool_rois
from pointrend_repro.settings.heads import KeypointHeadSettings
from pointrend_repro.settings.instances import ModelSettings

K = 5


def small_head(num_keypoints: int = K, **changes: int) -> KeypointHead:
    torch.manual_seed(0)
    settings = KeypointHeadSettings(
        num_keypoints=num_keypoints, **{"convs": 2, "channels": 8} | changes
    )
    return KeypointHead(4, settings, pool_rois)


def feature_maps(images: int = 1) -> dict[str, Tensor]:
    sides = {"p2": 32, "p3": 16, "p4": 8, "p5": 4}
    return {name: torch.randn(images, 4, side, side) for name, side in sides.items()}


def people(boxes: Tensor, keypoints: Tensor) -> Target:
    return Target(
        boxes,
        torch.zeros(len(boxes), dtype=torch.int64),
        torch.zeros(len(boxes), 128, 128, dtype=torch.bool),
        keypoints=keypoints,
    )


def random_people(count: int, seed: int = 0) -> Target:
    """Boxes with keypoints, some of which lie outside or are not labelled."""
    generator = torch.Generator().manual_seed(seed)
    corner = 60 * torch.rand(count, 2, generator=generator)
    size = 20 + 40 * torch.rand(count, 2, generator=generator)
    points = corner[:, None] + size[:, None] * (1.4 * torch.rand(count, K, 2) - 0.2)
    visibility = torch.randint(0, 3, (count, K, 1), generator=generator)
    return people(torch.cat([corner, corner + size], 1), torch.cat([points, visibility], 2))


def matched(found: Target, boxes: Tensor | None = None) -> Proposals:
    boxes = found.boxes if boxes is None else boxes
    return Proposals(boxes, found.labels[: len(boxes)], torch.arange(len(boxes)))


def slow_cell(box: list[float], point: list[float], side: int) -> int:
    (x0, y0, x1, y1), (x, y, visibility) = box, point
    if visibility == 0 or not (x0 <= x <= x1 and y0 <= y <= y1):
        return -1
    column = side - 1 if x == x1 else math.floor((x - x0) * side / (x1 - x0))
    row = side - 1 if y == y1 else math.floor((y - y0) * side / (y1 - y0))
    return row * side + column


class TestTargets:
    def test_cells_are_those_of_the_definition(self):
        found = random_people(30)
        cells = keypoint_cells(found.boxes, found.keypoints, 56)
        slow = [
            [slow_cell(box, point, 56) for point in points]
            for box, points in zip(found.boxes.tolist(), found.keypoints.tolist(), strict=True)
        ]
        assert cells.tolist() == slow
        assert 0.2 < (cells < 0).float().mean() < 0.9

    def test_cells_are_torchvisions(self):
        found = random_people(30, seed=1)
        theirs, valid = keypoints_to_heatmap(found.keypoints, found.boxes, 56)
        ours = keypoint_cells(found.boxes, found.keypoints, 56)
        assert torch.equal(ours >= 0, valid.bool())
        assert torch.equal(ours.clamp(min=0), theirs)

    def test_edges_belong_to_the_box(self):
        box = torch.tensor([[10.0, 20.0, 38.0, 48.0]])
        corners = torch.tensor([[[10.0, 20.0, 2], [38.0, 20.0, 1], [38.0, 48.0, 2], [10, 48, 0]]])
        assert keypoint_cells(box, corners, 56).tolist() == [[0, 55, 56 * 56 - 1, -1]]
        assert with_keypoint_inside(matched(people(box, corners)), corners).tolist() == [True]

    def test_a_box_needs_a_labelled_keypoint_inside(self):
        boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0]] * 3)
        points = torch.tensor(
            [[[5.0, 5, 0], [20, 5, 2]], [[5, 5, 1], [20, 5, 0]], [[5, 11, 2]] * 2]
        )
        assert with_keypoint_inside(matched(people(boxes, points)), points).tolist() == [0, 1, 0]


class TestLoss:
    def test_is_softmax_over_each_map_averaged_over_keypoints(self):
        head, features = small_head(), feature_maps(2)
        targets = [random_people(4), random_people(3, seed=1)]
        proposals = [matched(each) for each in targets]
        loss = head.losses(features, proposals, targets)["loss_keypoint"]
        maps = head(features, [p.boxes for p in proposals])
        terms = []
        boxes, points = (
            torch.cat([getattr(t, name) for t in targets]).tolist()
            for name in ("boxes", "keypoints")
        )
        for box, of_box, logits in zip(boxes, points, maps, strict=True):
            for point, map_ in zip(of_box, logits, strict=True):
                cell = slow_cell(box, point, 56)
                if cell >= 0:
                    terms.append(-F.log_softmax(map_.flatten(), dim=0)[cell])
        torch.testing.assert_close(loss, torch.stack(terms).mean())

    def test_is_torchvisions_with_its_gradient(self):
        head, features = small_head(), feature_maps()
        found = random_people(6)
        proposals = matched(found)
        ours = head.losses(features, [proposals], [found])["loss_keypoint"]
        maps = head(features, [found.boxes])
        theirs = keypointrcnn_loss(maps, [found.boxes], [found.keypoints], [proposals.matched])
        torch.testing.assert_close(ours, theirs)
        parameters = list(head.parameters())
        torch.testing.assert_close(
            torch.autograd.grad(ours, parameters), torch.autograd.grad(theirs, parameters)
        )

    def test_boxes_without_a_keypoint_do_not_matter(self):
        head, features, found = small_head(), feature_maps(), random_people(5)
        alone = head.losses(features, [matched(found)], [found])["loss_keypoint"]
        elsewhere = torch.tensor([[100.0, 100.0, 127.0, 127.0]])
        both = Proposals(
            torch.cat([found.boxes, elsewhere]), torch.zeros(6).long(), torch.arange(6) % 5
        )
        more = head.losses(features, [both], [found])["loss_keypoint"]
        torch.testing.assert_close(more, alone)

    @pytest.mark.parametrize("count", [0, 2])
    def test_without_keypoints_is_zero_with_a_graph(self, count):
        head = small_head()
        hidden = people(
            torch.tensor([[0.0, 0.0, 50.0, 50.0]] * count).view(-1, 4), torch.zeros(count, K, 3)
        )
        loss = head.losses(feature_maps(), [matched(hidden)], [hidden])["loss_keypoint"]
        loss.backward()
        assert loss.item() == 0
        assert all(p.grad is not None and not p.grad.any() for p in head.parameters())

    def test_data_without_keypoints_is_refused(self):
        found = replace(random_people(1), keypoints=None)
        with pytest.raises(UserError, match="trained on has no keypoints"):
            small_head().losses(feature_maps(), [matched(found)], [found])

    def test_another_number_of_keypoints_is_refused(self):
        found = random_people(1)
        with pytest.raises(UserError, match=f"is 17, but .* {K} keypoints"):
            small_head(17).losses(feature_maps(), [matched(found)], [found])


class TestHead:
    def test_paper_sizes(self):
        """Eight 512-channel convolutions, and 17 maps of 56x56 (torchvision's counts)."""
        head = KeypointHead(256, KeypointHeadSettings(), pool_rois)
        convs = sum(p.numel() for p in head.convs.parameters())
        assert (convs, sum(p.numel() for p in head.deconv.parameters())) == (17_698_816, 139_281)
        features = {name: torch.zeros(1, 256, 4, 4) for name in ("p2", "p3", "p4", "p5")}
        with torch.no_grad():
            maps = head(features, [torch.tensor([[0.0, 0.0, 9.0, 9.0]])])
        assert maps.shape == (1, 17, 56, 56)

    @pytest.mark.parametrize("num_keypoints", [1, 4, 17])
    def test_any_number_of_keypoints_and_boxes(self, num_keypoints):
        head = small_head(num_keypoints, roi_resolution=7)
        boxes = [torch.rand(3, 4).cumsum(1) * 40, torch.zeros(0, 4)]
        assert head.predict(feature_maps(2), boxes).shape == (3, num_keypoints, 3)
        assert head.predict(feature_maps(2), boxes[1:] * 2).shape == (0, num_keypoints, 3)


class TestDetector:
    KEYPOINTS = {"num_keypoints": K, "convs": 1, "channels": 8, "roi_resolution": 7}

    def test_finds_keypoints_in_its_boxes(self):
        model = detector("4conv", keypoint_head=self.KEYPOINTS).eval()
        found = model.detect([image(64, 96), image(80, 64, seed=1)], INFERENCE)
        assert any(len(each.boxes) for each in found)
        for each in found:
            assert each.keypoints.shape == (len(each.boxes), K, 3)
            low, high = each.boxes[:, None, :2], each.boxes[:, None, 2:].clamp(min=1)
            at = each.keypoints[..., :2]
            assert ((at >= low) & (at <= high + 1)).all()

    def test_has_none_without_the_branch(self):
        (found,) = detector("4conv").eval().detect([image(64, 96)], INFERENCE)
        assert found.keypoints is None

    def test_sees_boxes_through_the_detector_s_roi_layer(self):
        """Table 6: RoIPool instead of RoIAlign, with the same weights."""
        pooled = {"kind": "roi_pool", "aggregation": "max"}
        layers = [{"kind": "roi_align"}, pooled]
        maps = []
        for layer in layers:
            model = detector("4conv", keypoint_head=self.KEYPOINTS, roi_layer=layer).eval()
            features = model.backbone([image(64, 96)])
            maps.append(model.keypoint_head(features, [torch.tensor([[8.0, 8, 56, 56]])]))
        assert maps[0].shape == maps[1].shape
        assert not torch.allclose(*maps)

    @pytest.mark.parametrize("features", ["c4", "c5"])
    def test_works_without_a_pyramid(self, features):
        settings = detector("4conv", keypoint_head=self.KEYPOINTS).settings.model_dump()
        settings["detector"]["anchor_sizes_px"] = (16, 32)
        settings |= {"features": features}
        model = build_mask_rcnn(ModelSettings.model_validate(settings), num_classes=1).eval()
        boxes = [torch.tensor([[8.0, 8, 56, 56]])]
        points = model.keypoint_head.predict(model.backbone([image(64, 96)]), boxes)
        assert points.shape == (1, K, 3)

    @pytest.mark.parametrize("kind", ["4conv", "pointrend"])
    def test_all_its_parameters_learn_on_any_image(self, kind):
        model = detector(kind, keypoint_head=self.KEYPOINTS)
        empty = replace(target(64, 96, []), keypoints=torch.zeros(0, K, 3))
        model([image(64, 96)], [empty])["loss_keypoint"].backward()
        assert all(p.grad is not None for p in model.keypoint_head.parameters())

    def test_learns_where_a_keypoint_is(self):
        model = detector("4conv", keypoint_head=self.KEYPOINTS)
        truth = target(64, 96, [[8, 8, 56, 56]])
        points = torch.tensor([[[16.0, 16, 2], [48, 16, 2], [16, 48, 1], [48, 48, 2], [0, 0, 0]]])
        truth = replace(truth, keypoints=points)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(60):
            losses = model([image(64, 96)], [truth])
            optimizer.zero_grad()
            sum(losses.values()).backward()
            optimizer.step()
        features = model.backbone([image(64, 96)])
        found = model.keypoint_head.predict(features, [truth.boxes])
        assert (found[0, :4, :2] - points[0, :4, :2]).norm(dim=1).max() < 8
