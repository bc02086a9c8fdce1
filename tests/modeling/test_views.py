"""One image seen several times, against the merging of mmdetection as its loops have it."""

import weakref
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from slow_nms import slow_nms
from test_detector import HEADS, detector, image
from torch import Tensor

from pointrend_repro.data.structures import Detections
from pointrend_repro.modeling.detector import MaskRCNN
from pointrend_repro.modeling.views import View, detect_in_views
from pointrend_repro.settings.instances import InferenceSettings

HEIGHT, WIDTH = 90, 60
PROPOSALS = torch.tensor([[3.0, 4, 40, 50], [10, 20, 55, 88], [0, 0, 60, 90], [30, 3, 50, 25]])


def asked(**test: Any) -> InferenceSettings:
    values = {"output_resolution": 28, "points_per_step": 49}
    return InferenceSettings.model_validate(values | {"test": test})


def view(height: int, width: int, *, flip: bool = False, seed: int = 0) -> View:
    seen = image(height, width, seed)
    return View(seen.flip(2) if flip else seen, flip, (HEIGHT, WIDTH))


def model(kind: str = "pointrend", **changes: Any) -> MaskRCNN:
    return detector(kind, **changes).eval()


def by_hand(boxes: Tensor, seen: View) -> Tensor:
    """Boxes of the image as they lie in a view, one after another."""
    height, width = seen.size
    moved = []
    for x0, y0, x1, y1 in boxes.tolist():
        x0, x1 = x0 * width / WIDTH, x1 * width / WIDTH
        y0, y1 = y0 * height / HEIGHT, y1 * height / HEIGHT
        moved.append([width - x1, y0, width - x0, y1] if seen.is_mirrored else [x0, y0, x1, y1])
    return torch.tensor(moved)


def back_by_hand(boxes: Tensor, seen: View) -> Tensor:
    height, width = seen.size
    x0, y0, x1, y1 = boxes.unbind(-1)
    if seen.is_mirrored:
        x0, x1 = width - x1, width - x0
    columns, rows = WIDTH / width, HEIGHT / height
    return torch.stack([x0 * columns, y0 * rows, x1 * columns, y1 * rows], -1)


@torch.no_grad()
def slowly(detector: MaskRCNN, views: Sequence[View], settings: InferenceSettings) -> Detections:
    """`aug_test_bboxes` and `aug_test_mask` of mmdetection 1.x, with all maps in memory."""
    maps = [detector.backbone([each.image]) for each in views]
    all_boxes, all_scores = [], []
    for each, seen in zip(maps, views, strict=True):
        logits, deltas = detector.box_head(each, [by_hand(PROPOSALS, seen)])
        ((boxes,), (scores,)) = detector.box_head.scored_boxes(
            logits, deltas, [by_hand(PROPOSALS, seen)]
        )
        edges = torch.tensor(seen.size[::-1] * 2)
        inside = torch.minimum(boxes.clamp(min=0), edges)
        all_boxes.append(back_by_hand(inside, seen))
        all_scores.append(scores)
    boxes, scores, labels = detector.box_head.choose(
        torch.stack(all_boxes).mean(0), torch.stack(all_scores).mean(0), (HEIGHT, WIDTH)
    )
    masks = []
    for each, seen in zip(maps, views, strict=True):
        assert detector.mask_head is not None
        logits = detector.mask_head.predict(each, [by_hand(boxes, seen)], [labels], settings)
        masks.append(logits.sigmoid().flip(2) if seen.is_mirrored else logits.sigmoid())
    return Detections(boxes, scores, labels, torch.stack(masks).mean(0))


VIEWS = {
    "flip": [view(96, 64), view(96, 64, flip=True)],
    "sizes": [view(64, 48), view(128, 80), view(90, 60)],
    "both": [view(64, 48), view(64, 48, flip=True), view(128, 80), view(128, 80, flip=True)],
}


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("views", VIEWS.values(), ids=VIEWS)
def test_views_are_merged_as_in_mmdetection(kind: str, views: list[View]) -> None:
    settings, network = asked(), model(kind)
    found = detect_in_views(network, views, settings, PROPOSALS)
    expected = slowly(network, views, settings)
    assert len(found.boxes) > 1
    assert torch.equal(found.labels, expected.labels)
    torch.testing.assert_close(found.scores, expected.scores)
    torch.testing.assert_close(found.boxes, expected.boxes, rtol=1e-4, atol=1e-3)
    assert found.mask_logits is not None
    # A point on the verge of being chosen may be rendered in one and not in the other.
    apart = (found.mask_logits.sigmoid() - expected.mask_logits).abs()
    assert apart.median() < 1e-5
    assert (apart > 1e-2).float().mean() < 0.01


@pytest.mark.parametrize("count", [1, 3])
def test_the_same_view_again_changes_nothing(count: int) -> None:
    network, seen = model(), view(HEIGHT, WIDTH)
    with torch.no_grad():
        (once,) = network.detect([seen.image], asked(), [PROPOSALS])
    again = detect_in_views(network, [seen] * count, asked(), PROPOSALS)
    torch.testing.assert_close(again.boxes, once.boxes)
    torch.testing.assert_close(again.scores, once.scores)
    torch.testing.assert_close(again.mask_logits, once.mask_logits, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("keypoints", [None, {"num_keypoints": 3, "channels": 4}])
def test_a_mirrored_image_has_mirrored_objects(keypoints: dict[str, int] | None) -> None:
    """With flips this holds exactly, whatever the weights; proposals and keypoints included."""
    network = model(keypoint_head=keypoints)
    views, order = VIEWS["both"], (0, 2, 1)
    mirrored = [View(each.image.flip(2), each.is_mirrored, each.of) for each in views]
    one, other = (
        detect_in_views(network, each, asked(), None, order) for each in (views, mirrored)
    )
    assert len(one.boxes) > 1
    flipped = View(torch.zeros(3, HEIGHT, WIDTH), True, (HEIGHT, WIDTH))
    torch.testing.assert_close(other.boxes, flipped.there(one.boxes), rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(other.scores, one.scores, rtol=1e-4, atol=1e-5)
    assert one.mask_logits is not None
    assert other.mask_logits is not None
    apart = (other.mask_logits.flip(2).sigmoid() - one.mask_logits.sigmoid()).abs()
    assert (apart > 1e-2).float().mean() < 0.02
    if keypoints is not None:
        assert one.keypoints is not None
        assert other.keypoints is not None
        moved = other.keypoints[:, order]
        torch.testing.assert_close(moved[..., 2], one.keypoints[..., 2], rtol=1e-3, atol=1e-4)
        assert (WIDTH - moved[..., 0] - one.keypoints[..., 0]).abs().median() < 0.01
        assert (moved[..., 1] - one.keypoints[..., 1]).abs().median() < 0.01


def test_proposals_of_all_views_are_pooled() -> None:
    network, views = model(), VIEWS["both"]
    settings = asked(rpn_post_nms=12).model_copy(update={"proposals_only": True})
    found = detect_in_views(network, views, settings)
    boxes, scores = [], []
    rpn = network.own_proposals()
    for seen in views:
        maps = network.backbone([seen.image])
        ((of_view, logits),) = rpn.propose_scored(
            rpn.anchors(maps), *rpn(maps), [seen.size], settings.test
        )
        assert len(of_view) <= 12
        boxes.append(back_by_hand(of_view, seen))
        scores.append(logits.sigmoid())
    pooled = torch.cat(boxes)
    kept = slow_nms(pooled, torch.cat(scores), rpn.settings.rpn_nms_iou)[:12]
    assert len(kept) == 12
    torch.testing.assert_close(found.boxes, pooled[kept], rtol=1e-4, atol=1e-3)


def test_the_maps_of_one_view_are_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four views in three steps: ten passes instead of twelve, and never two views' maps."""
    network, made, alive = model(), [], []
    compute = network.backbone.forward

    def watched(images: list[Tensor]) -> dict[str, Tensor]:
        alive.append(sum(maps() is not None for maps in made))
        maps = compute(images)
        made.extend(weakref.ref(part) for part in maps.values())
        return maps

    monkeypatch.setattr(network.backbone, "forward", watched)
    found = detect_in_views(network, VIEWS["both"], asked())
    assert len(found.boxes) > 0
    assert alive == [0] * 10


def test_nothing_found_has_masks_of_the_usual_size() -> None:
    found = detect_in_views(model(), VIEWS["flip"], asked(score_threshold=1.0))
    assert found.boxes.shape == (0, 4)
    assert found.mask_logits is not None
    assert found.mask_logits.shape == (0, 28, 28)


def test_a_detector_of_boxes_alone_has_no_masks() -> None:
    found = detect_in_views(model("none"), VIEWS["flip"], asked())
    assert len(found.boxes) > 0
    assert found.mask_logits is None
