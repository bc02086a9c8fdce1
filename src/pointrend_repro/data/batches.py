"""Which images make up the batch of an iteration, as a pure function of the seed.

Because the order does not depend on what has run before, a training continues exactly where it was
interrupted, with any number of loader workers.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pointrend_repro.data.coco import ImageRecord
from pointrend_repro.data.examples import training_example
from pointrend_repro.errors import UserError
from pointrend_repro.modeling.structures import Target
from pointrend_repro.settings import InputSettings


@dataclass(frozen=True)
class Slot:
    """One image of one batch; iteration and place seed its augmentation."""

    image: int
    iteration: int
    place: int


@dataclass(frozen=True)
class Batch:
    """The images of one iteration, with their targets and their ids in the data set."""

    images: list[Tensor]
    targets: list[Target]
    image_ids: list[int]


def batch_order(wide: list[bool], batch_size: int, *, seed: int) -> Iterator[list[int]]:
    """Yield the images of each iteration, for ever.

    Images are shuffled anew each epoch. A batch holds only wide or only high images, so that
    little of it is padding; what is left over waits for the next epoch (detectron2's
    aspect-ratio grouping).

    Args:
        wide: for each image, whether it is wider than high.
    """
    waiting: dict[bool, list[int]] = {True: [], False: []}
    epoch = 0
    while True:
        rng = np.random.default_rng([seed, epoch])
        for image in rng.permutation(len(wide)):
            group = waiting[wide[image]]
            group.append(int(image))
            if len(group) == batch_size:
                yield list(group)
                group.clear()
        epoch += 1


def training_batches(
    records: list[ImageRecord],
    settings: InputSettings,
    *,
    batch_size: int,
    seed: int,
    iterations: range,
    workers: int,
) -> Iterator[Batch]:
    """Yield the batches of some iterations, loaded by `workers` processes (0: by this one).

    Raises:
        UserError: there is no image with an object to train on.
    """
    if not records:
        raise UserError("no training image has an object that is not a crowd: nothing to train on")
    wide = [record.width > record.height for record in records]
    order = batch_order(wide, batch_size, seed=seed)
    slots = _slots(order, iterations)
    yield from DataLoader(
        _Examples(records, settings, seed),
        batch_sampler=slots,
        num_workers=workers,
        collate_fn=_collate,
        persistent_workers=False,
    )


def _slots(order: Iterator[list[int]], iterations: range) -> Iterator[list[Slot]]:
    for iteration, images in zip(range(iterations.stop), order, strict=False):
        if iteration >= iterations.start:
            yield [Slot(image, iteration, place) for place, image in enumerate(images)]


class _Examples(Dataset[tuple[Tensor, Target, int]]):
    """Training examples by slot."""

    def __init__(self, records: list[ImageRecord], settings: InputSettings, seed: int) -> None:
        self.records = records
        self.settings = settings
        self.seed = seed

    def __getitem__(self, slot: Slot) -> tuple[Tensor, Target, int]:
        rng = np.random.default_rng([self.seed, slot.iteration, slot.place])
        record = self.records[slot.image]
        return *training_example(record, self.settings, rng), record.id


def _collate(examples: list[tuple[Tensor, Target, int]]) -> Batch:
    images, targets, ids = (list(part) for part in zip(*examples, strict=True))
    return Batch(images, targets, ids)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Return the batch on a device."""
    targets = [
        Target(t.boxes.to(device), t.labels.to(device), t.masks.to(device)) for t in batch.targets
    ]
    return Batch([image.to(device) for image in batch.images], targets, batch.image_ids)
