"""Draws the patches that DeepMask and SharpMask are trained on.

DeepMask (1506.06204, section 3.3) says what a positive and a negative is, and that there are as
many of each; not how objects are chosen. Here images come from the loop's shuffled list, and an
object of each is drawn at even odds. The authors' code (DataSampler.lua, DataLoader.lua at commit
280a716b) draws masks and scores for separate batches; with `sampling: code` that is done for each
patch. Its masks are of objects drawn from the whole data set, by category.

Everything is drawn from the generator of an example, which follows from seed and iteration.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pointrend_repro.data.coco import Annotation, ImageRecord
from pointrend_repro.data.drawn import object_fault
from pointrend_repro.data.examples import read_record
from pointrend_repro.data.patch_cutting import cut_mask, cut_pixels
from pointrend_repro.data.patch_objects import (
    ByCategory,
    canonical_places,
    draw_scored_place,
    learned_objects,
)
from pointrend_repro.data.patch_places import (
    Place,
    canonical_place,
    draw_negative,
    jittered,
)
from pointrend_repro.data.patches import PatchTarget
from pointrend_repro.settings.deepmask_training import (
    DeepMaskInputSettings,
    DeepMaskTrainingSettings,
)

_EVEN = 0.5  # D: as many negatives as positives; code, DataLoader.lua: as many masks as scores


@dataclass(frozen=True)
class PatchSampling:
    """What decides the patches of a training.

    Attributes:
        patch_px: side of a patch.
        context_px: seen around it, on each side.
        mask_px: side of its mask, which covers the patch without context.
        input: how patches are drawn.
        masks_only: whether no score is learned, and so no patch is drawn for it (code: `hfreq` 0).
            Where an object without a usable mask is drawn, the patch counts for nothing.
        by_category: of the authors' way only.
    """

    patch_px: int
    context_px: int
    mask_px: int
    input: DeepMaskInputSettings
    masks_only: bool = False
    by_category: ByCategory | None = None


@dataclass(frozen=True)
class DrawnPatch:
    """A patch before its pixels are cut.

    Attributes:
        record: the image.
        place: in it.
        is_positive: whether an object is in the middle.
        has_score: whether that counts in the training.
        masked: the object whose mask is learned; None: no mask is.
        flip: whether it is mirrored.
    """

    record: ImageRecord
    place: Place
    is_positive: bool
    has_score: bool
    masked: Annotation | None
    flip: bool


def patch_sampling(
    settings: DeepMaskTrainingSettings, records: Sequence[ImageRecord]
) -> PatchSampling:
    """Take from a training's settings, and from its images, what its patches depend on."""
    model, given = settings.model, settings.input
    by_category = ByCategory.of(records) if given.sampling == "code" and records else None
    return PatchSampling(
        model.patch_px,
        model.context_px,
        model.mask_px,
        given,
        masks_only=model.refinement is not None,
        by_category=by_category,
    )


def make_patches(
    record: ImageRecord, settings: PatchSampling, rng: np.random.Generator
) -> tuple[Tensor, PatchTarget]:
    """Draw `patches_per_image` patches, all from one image unless the authors' way draws others.

    Args:
        record: with an object to learn from.

    Returns:
        Patches (P, 3, H, H) uint8 RGB, with H = `patch_px` + 2 `context_px`, and their labels.

    Raises:
        UserError: an image cannot be read, or its size differs from its record's.
    """
    drawn = [draw_patch(record, settings, rng) for _ in range(settings.input.patches_per_image)]
    images = {one.record.id: one.record for one in drawn}
    pixels = {key: Image.fromarray(read_record(image)) for key, image in images.items()}
    side = settings.patch_px + 2 * settings.context_px
    cut = [
        _mirrored(cut_pixels(pixels[one.record.id], one.place, side), flip=one.flip)
        for one in drawn
    ]
    target = PatchTarget(
        is_positive=torch.tensor([one.is_positive for one in drawn]),
        has_score=torch.tensor([one.has_score for one in drawn]),
        has_mask=torch.tensor([one.masked is not None for one in drawn]),
        masks=torch.from_numpy(np.stack([_mask(one, settings) for one in drawn])),
    )
    return torch.from_numpy(np.stack(cut)), target


def draw_patch(
    record: ImageRecord, settings: PatchSampling, rng: np.random.Generator
) -> DrawnPatch:
    """Draw a patch of an image; in the authors' way, a mask's patch may be of another one.

    A negative is drawn instead where an object is chosen that has no usable mask (`data.check`).
    """
    flip = bool(rng.random() < settings.input.flip_probability)
    if settings.by_category is None:
        if settings.masks_only or rng.random() < _EVEN:
            annotation = _one_of(learned_objects(record), rng)
            if object_fault(annotation, record) is None:
                return _masked_patch(record, annotation, settings, rng, flip)
    elif settings.masks_only or rng.random() < _EVEN:
        other, annotation = settings.by_category.draw(rng)
        if object_fault(annotation, other) is None:
            return _masked_patch(other, annotation, settings, rng, flip)
    elif rng.random() < _EVEN:
        place = draw_scored_place(record, settings.patch_px, rng)
        if place is not None:
            return DrawnPatch(record, place, True, True, None, flip)
    return _negative_patch(record, settings, rng, flip)


def _one_of(objects: Sequence[Annotation], rng: np.random.Generator) -> Annotation:
    return objects[int(rng.integers(len(objects)))]


def _masked_patch(
    record: ImageRecord,
    annotation: Annotation,
    settings: PatchSampling,
    rng: np.random.Generator,
    flip: bool,
) -> DrawnPatch:
    place = jittered(
        canonical_place(annotation.box, settings.patch_px),
        settings.input.jitter_px,
        settings.input.jitter_octaves,
        rng,
    )
    scores_too = settings.by_category is None
    return DrawnPatch(record, place, True, scores_too, annotation, flip)


def _negative_patch(
    record: ImageRecord, settings: PatchSampling, rng: np.random.Generator, flip: bool
) -> DrawnPatch:
    """Draw a negative. Where none is found, the code takes what is not one; here it does not count.

    That takes an image with objects of all sizes everywhere.
    """
    place, is_far = draw_negative(
        canonical_places(record, settings.patch_px),
        (record.height, record.width),
        patch_px=settings.patch_px,
        min_px=settings.input.far_px,
        min_octaves=settings.input.far_octaves,
        rng=rng,
    )
    counts = is_far or settings.by_category is not None
    return DrawnPatch(record, place, False, counts, None, flip)


def _mask(drawn: DrawnPatch, settings: PatchSampling) -> NDArray[np.bool_]:
    side = settings.mask_px
    if drawn.masked is None:
        return np.zeros((side, side), dtype=bool)
    scale = drawn.place.scale * settings.patch_px / side
    size = (drawn.record.height, drawn.record.width)
    mask = cut_mask(drawn.masked.segmentation, size, replace(drawn.place, scale=scale), side)
    return _mirrored(mask, flip=drawn.flip)


def _mirrored(cut: NDArray[Any], *, flip: bool) -> NDArray[Any]:
    return np.ascontiguousarray(cut[..., ::-1] if flip else cut)
