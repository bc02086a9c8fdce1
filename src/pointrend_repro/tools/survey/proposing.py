"""Proposes settings for a data set, by rules that give the paper's own for COCO and Cityscapes.

The paper trains on COCO (118287 images, mostly 640x480) for 90000 updates of 16 images, at a short
edge of 640 to 800, and on Cityscapes (2975 images of 2048x1024) for 24000 updates of 8, at 800 to
1024 (supplement, section 1). Between the two, and beyond, the rules here are ours.
"""

import math
from dataclasses import dataclass

import numpy as np

from pointrend_repro.settings.instances import DatasetRecipe, DetectorInputSettings
from pointrend_repro.settings.schedule import OptimizerSettings, ScheduleSettings
from pointrend_repro.tools.survey.measuring import Shapes

# Rows of config/tables/mine.yaml.
RESOLUTIONS = (28, 56, 112, 224)

# Image sizes are multiples of this, as the paper's are.
_STEP_PX = 32
_COCO_SHORT_PX, _CITYSCAPES_SHORT_PX = 800, 1024
# From 480 pixels to 800: how much the paper enlarges most images of COCO.
_ENLARGED = 5 / 3
# The paper trains on short edges from 640 to 800, and from 800 to 1024.
_SMALLEST_TRAINED = 25 / 32
# 1333 by 800, and 2048 by 1024.
_LEAST_ASPECT, _MOST_ASPECT = 5 / 3, 2.0

_COCO_EPOCHS = 90_000 * 16 / 118_287
_CITYSCAPES_IMAGES = 2975
_CITYSCAPES_SEEN = 24_000 * 8
# 1000 of them are warm-up; that fewer would be too few is our assumption.
_LEAST_UPDATES = 3000

_LR_OF_AN_IMAGE = 0.02 / 16  # and 0.01 / 8


@dataclass(frozen=True)
class Proposal:
    """Proposed settings for a data set.

    Attributes:
        recipe: how to train on it.
        output_resolution: the side of PointRend's masks that suits its objects.
        epochs: how often the schedule shows each image.
        reasons: in words, by setting.
    """

    recipe: DatasetRecipe
    output_resolution: int
    epochs: float
    reasons: dict[str, str]


def propose(train: Shapes) -> Proposal:
    """Propose settings from the sizes of the training images and their objects.

    Args:
        train: with at least one object.
    """
    images = len(train.widths_px)
    input_settings, input_reason = _input(train)
    batch = 16 if images * _COCO_EPOCHS > _CITYSCAPES_SEEN else 8
    schedule, schedule_reason = _schedule(images, batch)
    optimizer = OptimizerSettings(images_per_batch=batch, base_lr=_LR_OF_AN_IMAGE * batch)
    resolution, resolution_reason = _resolution(train)
    return Proposal(
        recipe=DatasetRecipe(input=input_settings, optimizer=optimizer, schedules={"1x": schedule}),
        output_resolution=resolution,
        epochs=schedule.total_iters * batch / images,
        reasons={
            "input": input_reason,
            "schedule": schedule_reason,
            "optimizer": (
                f"{optimizer.base_lr:g} = {_LR_OF_AN_IMAGE:g} for each image of a batch, the "
                "paper's on both of its data sets. On one GPU too: a batch is computed "
                f"{optimizer.images_per_step} images at a time"
            ),
            "output resolution": resolution_reason,
        },
    )


def _input(train: Shapes) -> tuple[DetectorInputSettings, str]:
    # Not the median, which on COCO is below the 480 of a third of its images.
    short = float(np.percentile(train.short_edges_px, 75, method="lower"))
    if short * _ENLARGED < _COCO_SHORT_PX:
        short_edge, how = (
            short * _ENLARGED,
            "5/3 of it, as the paper enlarges COCO's 480 to 800, down to a multiple of 32",
        )
    elif short <= _COCO_SHORT_PX:
        short_edge, how = _COCO_SHORT_PX, "800, as on COCO"
    elif short < _CITYSCAPES_SHORT_PX:
        short_edge, how = short, "as they are"
    else:
        short_edge, how = _CITYSCAPES_SHORT_PX, "1024, the paper's largest (Cityscapes)"
    test = max(int(short_edge + 0.5) // _STEP_PX, 2) * _STEP_PX
    first = math.ceil(test * _SMALLEST_TRAINED / _STEP_PX) * _STEP_PX
    # Nine images in ten fit without being reduced.
    aspect = float(np.clip(np.percentile(train.aspects, 90), _LEAST_ASPECT, _MOST_ASPECT))
    settings = DetectorInputSettings(
        train_short_edges_px=tuple(range(first, test + 1, _STEP_PX)),
        test_short_edge_px=test,
        max_long_edge_px=int(test * aspect + 0.5),
    )
    return settings, (f"three images in four have a short edge of up to {short:g} px: {how}")


def _schedule(images: int, batch: int) -> tuple[ScheduleSettings, str]:
    seen, how = images * _COCO_EPOCHS, "12 epochs, as on COCO"
    if seen < _CITYSCAPES_SEEN:
        epochs = _CITYSCAPES_SEEN / _CITYSCAPES_IMAGES
        seen, how = min(images * epochs, _CITYSCAPES_SEEN), "65 epochs, as on Cityscapes"
        if images > _CITYSCAPES_IMAGES:
            how = "192000 images seen, as on Cityscapes"
    updates = math.ceil(round(seen / batch, 6))
    if updates < _LEAST_UPDATES:
        updates, how = _LEAST_UPDATES, f"no fewer than {_LEAST_UPDATES} updates (an assumption)"
    drops = (updates * 2 // 3, updates * 8 // 9)  # COCO's 60000 and 80000 of 90000
    schedule = ScheduleSettings(total_iters=updates, lr_drop_iters=drops)
    return schedule, f"{images} training images with objects: {how}"


def _resolution(train: Shapes) -> tuple[int, str]:
    large = train.large_sides_px
    sides, which = (large, "large objects") if len(large) else (train.sides_px, "objects")
    side = float(np.median(sides))
    enough = [r for r in RESOLUTIONS if r >= side]
    resolution = enough[0] if enough else RESOLUTIONS[-1]
    finding = f"half of the {which} have boxes of up to {side:.0f} px (the root of their area): "
    if enough:
        return resolution, finding + "a cell of their masks is then at most a pixel"
    return (
        resolution,
        finding + "more than 224, the paper's largest, where AP hardly rises",
    )
