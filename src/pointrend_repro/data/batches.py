"""Which images make up the batch of an iteration, as a pure function of the seed.

Because the order does not depend on what has run before, a training continues exactly where it was
interrupted, with any number of loader workers.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pointrend_repro.data.coco import ImageRecord
from pointrend_repro.data.semantic import LabelledImage
from pointrend_repro.errors import UserError
from pointrend_repro.modeling.structures import Target

# Objects for a detector; train ids (H, W) for a semantic model.
TargetLike = Target | Tensor

Record = ImageRecord | LabelledImage
MakeExample = Callable[..., tuple[Tensor, TargetLike]]


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
    targets: list[TargetLike]
    image_ids: list[int | str]


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
    records: Sequence[Record],
    make_example: MakeExample,
    *,
    batch_size: int,
    seed: int,
    iterations: range,
    workers: int,
) -> Iterator[Batch]:
    """Yield the batches of some iterations, loaded by `workers` processes (0: by this one).

    Args:
        records: the images to train on.
        make_example: reads and augments a record, by `rng`.
        batch_size: images of a batch.
        seed: seeds order and augmentation.
        iterations: which batches, counted from the start of the training.
        workers: how many processes load.

    Raises:
        UserError: there is no image with an object to train on, or one cannot be read.
    """
    if not records:
        raise UserError("no training image has an object that is not a crowd: nothing to train on")
    wide = [record.width > record.height for record in records]
    order = batch_order(wide, batch_size, seed=seed)
    slots = _slots(order, iterations)
    loader = DataLoader(
        _Examples(records, make_example, seed),
        batch_sampler=slots,
        num_workers=workers,
        collate_fn=_collate,
        # Its own: a loader draws a number when it starts, and a continued training starts one more.
        generator=torch.Generator(),
    )
    for batch in loader:
        if isinstance(batch, UserError):
            raise batch
        yield batch


def _slots(order: Iterator[list[int]], iterations: range) -> Iterator[list[Slot]]:
    for iteration, images in zip(range(iterations.stop), order, strict=False):
        if iteration >= iterations.start:
            yield [Slot(image, iteration, place) for place, image in enumerate(images)]


_Example = tuple[Tensor, TargetLike, int | str]


class _Examples(Dataset[_Example | UserError]):
    """Training examples by slot.

    An error is handed on as a value: a worker's exception would come with a page of traceback.
    """

    def __init__(self, records: Sequence[Record], make_example: MakeExample, seed: int) -> None:
        self.records = records
        self.make_example = make_example
        self.seed = seed

    def __getitem__(self, slot: Slot) -> _Example | UserError:
        rng = np.random.default_rng([self.seed, slot.iteration, slot.place])
        record = self.records[slot.image]
        try:
            return *self.make_example(record, rng=rng), record.id
        except UserError as error:
            return error


def _collate(examples: list[_Example | UserError]) -> Batch | UserError:
    good: list[_Example] = []
    for example in examples:
        if isinstance(example, UserError):
            return example
        good.append(example)
    images, targets, ids = (list(part) for part in zip(*good, strict=True))
    return Batch(images, targets, ids)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Return the batch on a device."""
    targets: list[TargetLike] = [target.to(device) for target in batch.targets]
    return Batch([image.to(device) for image in batch.images], targets, batch.image_ids)
