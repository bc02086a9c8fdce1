"""One image seen several times, mirrored and at several sizes, and what is found in all of them.

The merging is mmdetection's (1.x, core/post_processing/merge_augs.py), with which the 3D-FUTURE
report is tested: proposals of all views are pooled by NMS, each view gives boxes and scores to the
same proposals, which are averaged before the last NMS, and each view gives masks to the boxes that
remain, whose probabilities are averaged. A mask is therefore averaged after it has been rendered:
PointRend subdivides the boxes of each view by itself, at the points that are uncertain there.

What is common to all views is in pixels of the image itself.

The feature maps of one view at a time are in memory, so they are computed up to three times. The
views are visited back and forth, so that the last one of a step is the first one of the next.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor
from torchvision.ops import nms

from pointrend_repro.data.structures import Detections
from pointrend_repro.modeling.backbone import DetectorBackbone
from pointrend_repro.modeling.boxes import ImageSize
from pointrend_repro.modeling.heat_maps import keypoints_of_maps
from pointrend_repro.modeling.precision import to_float32
from pointrend_repro.modeling.proposal_model import ProposalModel, without_class
from pointrend_repro.modeling.rpn import RegionProposalNetwork
from pointrend_repro.settings.at_test import DetectionAtTest, detector_at_test
from pointrend_repro.settings.instances import InferenceSettings

Maps = dict[str, Tensor]
Made = TypeVar("Made")


class Inside(NamedTuple):
    """What a detector finds in boxes of one image, R of them.

    Attributes:
        mask_logits: (R, M, M) over the boxes; None: it has no masks.
        keypoint_maps: heat maps (R, K, S, S) over the boxes; None: it finds no keypoints.
        quality: (R,), by which scores are multiplied, from the masks; None: by nothing.
    """

    mask_logits: Tensor | None = None
    keypoint_maps: Tensor | None = None
    quality: Tensor | None = None


class SeenInViews(Protocol):
    """A detector that finds objects step by step, in the maps of one image."""

    backbone: DetectorBackbone

    def own_proposals(self) -> RegionProposalNetwork:
        """Return what proposes boxes."""
        ...

    def scored_boxes(
        self, maps: Maps, proposals: Tensor, image_size: ImageSize
    ) -> tuple[Tensor, Tensor]:
        """Return boxes (P, K, 4), inside the image, and scores (P, K), of each class."""
        ...

    def choose(
        self, boxes: Tensor, scores: Tensor, image_size: ImageSize, test: DetectionAtTest
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the boxes (R, 4), scores (R,) and classes (R,) that remain of these."""
        ...

    def look_inside(
        self, maps: Maps, boxes: Tensor, labels: Tensor, settings: InferenceSettings
    ) -> Inside:
        """Return what lies in boxes (R, 4) of classes (R,)."""
        ...


@dataclass(frozen=True)
class View:
    """How a network sees an image: resized, (3, H', W'), and mirrored or not.

    Attributes:
        image: is mirrored already.
        of: (height, width) of the image itself.
    """

    image: Tensor
    is_mirrored: bool
    of: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """(H', W')."""
        return int(self.image.shape[1]), int(self.image.shape[2])

    def there(self, boxes: Tensor) -> Tensor:
        """Return boxes (..., 4) of the image itself in pixels of the view."""
        return self._mirrored(boxes * self._scale(boxes))

    def back(self, boxes: Tensor) -> Tensor:
        """Return boxes (..., 4) of the view in pixels of the image itself."""
        return self._mirrored(boxes) / self._scale(boxes)

    def upright(self, maps: Tensor) -> Tensor:
        """Return maps (..., W) over boxes as they lie in the image itself."""
        return maps.flip(-1) if self.is_mirrored else maps

    def _scale(self, boxes: Tensor) -> Tensor:
        (height, width), (rows, columns) = self.of, self.size
        return boxes.new_tensor([columns / width, rows / height]).repeat(2)

    def _mirrored(self, boxes: Tensor) -> Tensor:
        if not self.is_mirrored:
            return boxes
        x0, y0, x1, y1 = boxes.unbind(-1)
        width = self.size[1]
        return torch.stack([width - x1, y0, width - x0, y1], dim=-1)


@torch.no_grad()
def detect_in_views(
    model: SeenInViews | ProposalModel,
    views: Sequence[View],
    settings: InferenceSettings,
    proposals: Tensor | None = None,
    mirrored_keypoints: Sequence[int] = (),
) -> Detections:
    """Find the objects of one image in several views of it.

    Args:
        views: of the same image, one at least.
        proposals: (P, 4), xyxy in pixels of the image itself; none: the model's own.
        mirrored_keypoints: for each keypoint of a mirrored image, which one of the image it is.

    Returns:
        Detections in pixels of the image itself.
    """
    walk, test = _Walk(model.backbone, views), settings.test
    if proposals is None:
        proposals = _pooled_proposals(model.own_proposals(), walk, test)
    # Not every family can be asked for its proposals.
    if getattr(settings, "proposals_only", False) or isinstance(model, ProposalModel):
        return without_class(proposals)

    def classify(view: View, maps: Maps) -> dict[str, Tensor]:
        boxes, scores = model.scored_boxes(maps, view.there(proposals), view.size)
        return {"boxes": view.back(boxes), "scores": scores}

    def look_inside(view: View, maps: Maps) -> dict[str, Tensor]:
        inside = model.look_inside(maps, view.there(boxes), labels, settings)
        return _upright(inside, view, mirrored_keypoints)

    of_all = walk.mean_of(classify)
    boxes, scores, labels = model.choose(of_all["boxes"], of_all["scores"], views[0].of, test)
    # Without boxes there is nothing to average, but what lies in none of them still has a shape.
    inside = walk.mean_of(look_inside) if len(boxes) else look_inside(*walk.here())
    return _together(boxes, scores, labels, inside)


def _upright(inside: Inside, view: View, mirrored_keypoints: Sequence[int]) -> dict[str, Tensor]:
    """Return what can be averaged over views, by name, as it lies in the image itself."""
    found = {}
    if inside.mask_logits is not None:
        found["masks"] = view.upright(inside.mask_logits.sigmoid())
    if inside.keypoint_maps is not None:
        points = inside.keypoint_maps
        points = points[:, list(mirrored_keypoints)] if view.is_mirrored else points
        found["points"] = view.upright(points)
    if inside.quality is not None:
        found["quality"] = inside.quality
    return found


def _together(
    boxes: Tensor, scores: Tensor, labels: Tensor, inside: dict[str, Tensor]
) -> Detections:
    masks, points = inside.get("masks"), inside.get("points")
    found = Detections(
        boxes,
        scores,
        labels,
        None if masks is None else logits_of(masks),
        None if points is None else keypoints_of_maps(points, boxes),
    )
    return found.rescored(inside["quality"]) if "quality" in inside else found


def _pooled_proposals(rpn: RegionProposalNetwork, walk: "_Walk", test: DetectionAtTest) -> Tensor:
    """Return the proposals of all views, without those that better ones overlap."""

    def propose(view: View, maps: Maps) -> tuple[Tensor, Tensor]:
        logits, deltas = rpn(maps)
        anchors = rpn.anchors(maps)
        ((boxes, scores),) = rpn.propose_scored(anchors, logits, deltas, [view.size], test)
        return view.back(boxes), scores

    boxes, scores = (torch.cat(part) for part in zip(*walk.visit(propose), strict=True))
    settings = detector_at_test(rpn.settings, test)
    return boxes[nms(boxes, scores, settings.rpn_nms_iou)[: settings.rpn_post_nms]]


def logits_of(probabilities: Tensor) -> Tensor:
    """Return finite logits of mean probabilities, which may be 0 or 1 after rounding."""
    return probabilities.logit(eps=torch.finfo(probabilities.dtype).eps)


class _Walk:
    """Visits all views of an image, back and forth, with the maps of one of them in memory."""

    def __init__(self, backbone: DetectorBackbone, views: Sequence[View]) -> None:
        self._backbone = backbone
        self._order = list(views)
        self._at: View | None = None
        self._maps: Maps = {}

    def visit(self, make: Callable[[View, Maps], Made]) -> list[Made]:
        """Return what is made of each view, in the order of the walk."""
        # Nothing else may hold a view's maps when the next view's are made.
        made = [make(view, self._maps_of(view)) for view in self._order]
        self._order.reverse()
        return made

    def mean_of(self, make: Callable[[View, Maps], dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return the means of what is made of each view; they are summed as they come."""
        sums: dict[str, Tensor] = {}

        def add(view: View, maps: Maps) -> None:
            for name, part in make(view, maps).items():
                sums[name] = sums[name].add_(part) if name in sums else part.clone()

        count = len(self.visit(add))
        return {name: part / count for name, part in sums.items()}

    def here(self) -> tuple[View, Maps]:
        """Return the view at which the next walk begins, and its maps."""
        return self._order[0], self._maps_of(self._order[0])

    def _maps_of(self, view: View) -> Maps:
        if self._at is not view:
            self._maps = {}
            self._maps = to_float32(self._backbone([view.image]))
            self._at = view
        return self._maps
