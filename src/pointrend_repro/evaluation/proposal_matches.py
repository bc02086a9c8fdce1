"""Which objects class-agnostic proposals find, and with how many of them: pycocotools' matches.

The tool goes over 1000 proposals of an image for each IoU threshold and size, in Python. A proposal
whose IoU with every object is below the lowest threshold is never matched and keeps no other from
being matched. So the tool is given only the rest, in a few blocks of images at a time; a test
compares with the tool on all of them.

Matches are made in the order of scores, so those of an image's first k proposals are the same
whatever follows. The rank at which each object is found therefore gives the recall at every number
of proposals.
"""

import contextlib
import io
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pointrend_repro.evaluation.coco_ap import Kind, coco_index, loaded
from pointrend_repro.evaluation.instance_results import InstanceResults, blocks
from pointrend_repro.evaluation.instance_truth import Truth, without
from pointrend_repro.evaluation.official_files import Entry

_Ints = NDArray[np.int64]

# How many of an image's proposals count; the paper reports recall with 10, 100 and 1000.
MOST = 1000

# One class of objects: of other classes, the tool would rank equal scores class by class.
CATEGORY = 1

_DEFAULTS = COCOeval(iouType="segm").params
SIZES = len(_DEFAULTS.areaRng)
THRESHOLDS = len(_DEFAULTS.iouThrs)


@dataclass(frozen=True)
class FoundObjects:
    """The objects that proposals find, at T IoU thresholds and in A ranges of size.

    The ranges are COCO's, by the annotation's area in square pixels: all, up to 32**2, up to 96**2,
    and beyond. F counts an object once for each threshold and range in which it is found.

    Attributes:
        images: names of the N images.
        objects: how many of an image's objects count, (A, N) int64; crowds do not.
        size, threshold, image: indices of range, threshold and image, (F,) int64.
        rank: of the proposal that finds it among those of its image, from 1, (F,) int64.
    """

    images: tuple[str, ...]
    objects: _Ints
    size: _Ints
    threshold: _Ints
    image: _Ints
    rank: _Ints


class _OfImage(NamedTuple):
    objects: list[int]  # by size
    found: _Ints  # size, threshold and rank of each, (F, 3)


def match_proposals(
    truth: Truth, results: InstanceResults, kinds: Collection[Kind], *, own_boxes: bool
) -> dict[Kind, FoundObjects]:
    """Let pycocotools match proposals to objects, by masks, by boxes, or by both.

    Args:
        truth: all of its annotations of category `CATEGORY`.
        results: proposals with masks, whose boxes are those around the masks; or without any, with
            boxes.
        own_boxes: match the boxes that are in the file, even if there are masks too.
    """
    each: dict[Kind, list[_OfImage]] = {kind: [] for kind in kinds}
    for image_ids, entries in blocks(truth.image_ids, results):
        found = [{**entry, "category_id": CATEGORY} for entry in entries]
        if results.has_masks:
            found = without("segmentation" if own_boxes else "bbox", found)
        with contextlib.redirect_stdout(io.StringIO()):
            index = coco_index(truth.of_images(image_ids))
            tool_results = loaded(index, found)
            # Boxes first: for masks, the tool replaces the objects' outlines in place.
            for kind in sorted(kinds):
                each[kind] += _matches(index, tool_results, kind, image_ids)
    names = tuple(str(image_id) for image_id in truth.image_ids)
    return {kind: _joined(names, images) for kind, images in each.items()}


def _matches(
    index: COCO, results: COCO, kind: Kind, image_ids: Sequence[int]
) -> Iterator[_OfImage]:
    evaluation = COCOeval(index, results, kind)
    evaluation.params.useCats, evaluation.params.maxDets = 0, [MOST]
    evaluation.params.imgIds = list(image_ids)
    evaluation._prepare()
    for image_id in image_ids:
        yield _of_image(evaluation, image_id)


def _of_image(evaluation: Any, image_id: int) -> _OfImage:
    own = (image_id, CATEGORY)
    if not evaluation._gts[own]:
        return _OfImage([0] * SIZES, np.zeros((0, 3), np.int64))
    proposals = _best(evaluation._dts[own])
    evaluation._dts[own] = proposals
    overlaps = np.reshape(
        # Of an image without proposals the tool returns an empty list.
        evaluation.computeIoU(image_id, -1),
        (len(proposals), len(evaluation._gts[own])),
    )
    near = overlaps.max(axis=1, initial=0) >= evaluation.params.iouThrs[0]
    kept = np.flatnonzero(near)
    evaluation._dts[own] = [proposals[place] for place in kept]
    evaluation.ious[image_id, -1] = overlaps[kept]
    objects, found = [], []
    for size, area_range in enumerate(evaluation.params.areaRng):
        matched = evaluation.evaluateImg(image_id, -1, area_range, MOST)
        objects.append(int(np.count_nonzero(matched["gtIgnore"] == 0)))
        hits = (matched["dtMatches"] != 0) & ~matched["dtIgnore"].astype(bool)
        threshold, column = np.nonzero(hits)
        found.append(np.stack([np.full_like(column, size), threshold, kept[column] + 1], axis=1))
    return _OfImage(objects, np.concatenate(found))


def _best(entries: list[Entry]) -> list[Entry]:
    """Return the proposals that count, highest score first, equal ones in the file's order."""
    return sorted(entries, key=lambda entry: -entry["score"])[:MOST]


def _joined(names: tuple[str, ...], images: list[_OfImage]) -> FoundObjects:
    counts = [len(image.found) for image in images]
    found = np.concatenate([np.zeros((0, 3), np.int64), *(image.found for image in images)])
    return FoundObjects(
        images=names,
        objects=np.array([image.objects for image in images], np.int64).reshape(-1, SIZES).T,
        size=found[:, 0],
        threshold=found[:, 1],
        image=np.repeat(np.arange(len(images)), counts),
        rank=found[:, 2],
    )
