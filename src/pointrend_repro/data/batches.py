"""Which images make up the batch of an iteration, as a pure function of the seed.

Because the order does not depend on what has run before, a training continues exactly where it was
interrupted, with any number of loader workers. A batch is cut into micro-batches, one for each
forward pass, and these are dealt out to the ranks that train together; what a micro-batch holds
does not depend on the number of ranks.
"""

import itertools
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.start_method import worker_context
from pointrend_repro.data.loader_workers import serving_this_process
from pointrend_repro.data.patches import PatchTarget
from pointrend_repro.data.records import Record
from pointrend_repro.data.structures import Target

# Objects for a detector; a map (H, W) of train ids for a semantic model; labels of patches.
TargetLike = Target | Tensor | PatchTarget


MakeExample = Callable[..., tuple[Tensor, TargetLike]]


@dataclass(frozen=True)
class MicroBatches:
    """How a batch is cut into micro-batches, and which of them belong to this rank.

    Attributes:
        images_per_batch: over all processes.
        images_per_step: per micro-batch, which is one forward pass; the last may have fewer.
        rank: of this process among those that train together.
        world_size: how many there are.
    """

    images_per_batch: int
    images_per_step: int
    rank: int = 0
    world_size: int = 1

    @property
    def places(self) -> list[range]:
        """The positions in the batch of each micro-batch's images."""
        places = range(self.images_per_batch)
        return [places[i : i + self.images_per_step] for i in places[:: self.images_per_step]]

    @property
    def own(self) -> list[int]:
        """The numbers of this rank's micro-batches."""
        return list(range(len(self.places)))[self.rank :: self.world_size]


@dataclass(frozen=True)
class MicroBatch:
    """The input of one forward pass, and all that its losses depend on besides the weights.

    Attributes:
        images: (3, H_n, W_n) uint8 each; for a model of patches, (P, 3, H, H).
        targets: one per image.
        weight: its share of the images of the batch.
        seed: for everything that the model draws at random.
    """

    images: list[Tensor]
    targets: list[TargetLike]
    weight: float
    seed: int


@dataclass(frozen=True)
class Batch:
    """This rank's micro-batches of one iteration, and the ids of all images in the batch.

    Attributes:
        micro_batches: of this rank.
        image_ids: in the data set, of all ranks' images.
    """

    micro_batches: list[MicroBatch]
    image_ids: list[int | str]


def batch_order(
    wide: Sequence[bool], micro_batches: MicroBatches, *, seed: int
) -> Iterator[list[int]]:
    """Yield the images of each iteration, without end.

    Images are reshuffled each epoch. A micro-batch holds only wide or only tall images, so that
    little of it is padding; left-over images wait for the next one. A batch takes the next
    micro-batches, of either shape. detectron2 groups the images of one GPU in the same way
    (commit 02b5c4e2, data/common.py, AspectRatioGroupedDataset).

    Args:
        wide: for each image, whether it is wider than tall.
        micro_batches: how many images a batch and its micro-batches have.
    """
    images = _shuffled(len(wide), seed)
    waiting: dict[bool, list[int]] = {True: [], False: []}
    while True:
        batch: list[int] = []
        for places in micro_batches.places:
            batch += _next_micro_batch(wide, images, waiting, size=len(places))
        yield batch


def _shuffled(count: int, seed: int) -> Iterator[int]:
    for epoch in itertools.count():
        yield from np.random.default_rng([seed, epoch]).permutation(count).tolist()


def _next_micro_batch(
    wide: Sequence[bool], images: Iterator[int], waiting: dict[bool, list[int]], *, size: int
) -> list[int]:
    """Take images until enough of one shape wait to fill a micro-batch."""
    while (full := next((g for g in waiting.values() if len(g) >= size), None)) is None:
        image = next(images)
        waiting[wide[image]].append(image)
    taken, full[:size] = full[:size], []
    return taken


def training_batches(
    records: Sequence[Record],
    make_example: MakeExample,
    *,
    micro_batches: MicroBatches,
    seed: int,
    iterations: range,
    workers: int,
    by_shape: bool = True,
) -> Generator[Batch]:
    """Yield this rank's part of each batch, loaded by `workers` processes (0: by this one).

    A micro-batch is the same on whichever rank, and with any number of ranks.

    Args:
        records: the images to train on.
        make_example: reads and augments a record, using `rng`.
        micro_batches: which of them are this rank's.
        seed: for the order, the augmentation, and what the model draws.
        iterations: which batches, counted from the start of the training.
        workers: how many processes load images.
        by_shape: whether a micro-batch has only wide or only tall images.

    Raises:
        UserError: no image has an object to train on, or an image cannot be read.
    """
    if not records:
        raise UserError("no training image has an object that is not a crowd: nothing to train on")
    wide = [by_shape and record.width > record.height for record in records]
    order = batch_order(wide, micro_batches, seed=seed)
    with serving_this_process() as begin_worker:
        loader = DataLoader(
            _Batches(records, make_example, micro_batches, seed),
            sampler=_numbered(order, iterations),
            batch_size=None,
            num_workers=workers,
            collate_fn=_as_it_is,
            worker_init_fn=begin_worker,
            multiprocessing_context=worker_context() if workers else None,
            # Of its own: a loader draws a number when it starts, and resuming starts one more.
            generator=torch.Generator(),
        )
        for batch in loader:
            if isinstance(batch, UserError):
                raise batch
            yield batch


@dataclass(frozen=True)
class _Numbered:
    """The images of the batch of one iteration."""

    iteration: int
    images: list[int]


def _numbered(order: Iterator[list[int]], iterations: range) -> Iterator[_Numbered]:
    for iteration, images in zip(range(iterations.stop), order, strict=False):
        if iteration >= iterations.start:
            yield _Numbered(iteration, images)


class _Batches(Dataset[Batch | UserError]):
    """One rank's part of each batch.

    Errors are returned as values: a worker's exception would come with a page of traceback.
    """

    def __init__(
        self,
        records: Sequence[Record],
        make_example: MakeExample,
        micro_batches: MicroBatches,
        seed: int,
    ) -> None:
        self.records = records
        self.make_example = make_example
        self.micro_batches = micro_batches
        self.seed = seed

    def __getitem__(self, batch: _Numbered) -> Batch | UserError:
        ids = [self.records[image].id for image in batch.images]
        try:
            return Batch([self._micro_batch(batch, n) for n in self.micro_batches.own], ids)
        except UserError as error:
            return error

    def _micro_batch(self, batch: _Numbered, number: int) -> MicroBatch:
        places = self.micro_batches.places[number]
        examples = [self._example(batch, place) for place in places]
        images, targets = (list(part) for part in zip(*examples, strict=True))
        weight = len(places) / self.micro_batches.images_per_batch
        seed = micro_batch_seed(self.seed, batch.iteration, number)
        return MicroBatch(images, targets, weight, seed)

    def _example(self, batch: _Numbered, place: int) -> tuple[Tensor, TargetLike]:
        rng = np.random.default_rng([self.seed, batch.iteration, place])
        return self.make_example(self.records[batch.images[place]], rng=rng)


def micro_batch_seed(seed: int, iteration: int, number: int) -> int:
    """Return the seed of what the model draws in one micro-batch: RoIs, points, dropout."""
    # Four numbers, so that it differs from the augmentation's seed, which has three.
    state = np.random.SeedSequence([seed, iteration, number, 1]).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))  # torch expects a signed number


def _as_it_is(batch: Any) -> Any:
    return batch


def to_device(micro_batch: MicroBatch, device: torch.device) -> MicroBatch:
    """Return a micro-batch on a device."""
    return replace(
        micro_batch,
        images=[image.to(device) for image in micro_batch.images],
        targets=[target.to(device) for target in micro_batch.targets],
    )
