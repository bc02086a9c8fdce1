"""Which images make up the batch of an iteration, as a pure function of the seed.

Because the order does not depend on what has run before, a training continues exactly where it was
interrupted, with any number of loader workers. A batch is divided into steps, each of them what one
forward pass sees, and the steps among the processes that train together; what a step holds does not
depend on how many these are.
"""

import itertools
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.structures import Target

# Objects for a detector; train ids (H, W) for a semantic model.
TargetLike = Target | Tensor


class Record(Protocol):
    """One image of a data set, of whatever family the model is."""

    @property
    def id(self) -> Any:
        """Names the image in the data set."""
        ...

    @property
    def width(self) -> int:
        """In pixels."""
        ...

    @property
    def height(self) -> int:
        """In pixels."""
        ...


class AnyDataset(Protocol):
    """One split of a data set."""

    @property
    def categories(self) -> Sequence[Any]:
        """With `id` and `name` each, in the order of the model's classes."""
        ...

    @property
    def images(self) -> Sequence[Any]:
        """A record an image."""
        ...


MakeExample = Callable[..., tuple[Tensor, TargetLike]]


@dataclass(frozen=True)
class Division:
    """How a batch is divided into steps, and these among the processes that train together.

    Attributes:
        images_per_batch: of all processes.
        images_per_step: how many images one forward pass sees; the last step may have fewer.
        process: the number of this process.
        processes: how many there are.
    """

    images_per_batch: int
    images_per_step: int
    process: int = 0
    processes: int = 1

    @property
    def steps(self) -> list[range]:
        """The places in the batch of each step's images."""
        places = range(self.images_per_batch)
        return [places[i : i + self.images_per_step] for i in places[:: self.images_per_step]]

    @property
    def own_steps(self) -> list[int]:
        """The numbers of the steps that are this process's."""
        return list(range(len(self.steps)))[self.process :: self.processes]


@dataclass(frozen=True)
class Step:
    """What one forward pass sees, and all that its losses depend on beside the weights.

    Attributes:
        images: (3, H_n, W_n) uint8 each.
        targets: one an image.
        weight: its share of the images of the batch.
        seed: of everything that the model draws at random.
    """

    images: list[Tensor]
    targets: list[TargetLike]
    weight: float
    seed: int


@dataclass(frozen=True)
class Batch:
    """The steps of one iteration that are this process's, and the ids of all its images.

    Attributes:
        steps: of this process.
        image_ids: in the data set, of the images of all processes.
    """

    steps: list[Step]
    image_ids: list[int | str]


def batch_order(wide: Sequence[bool], division: Division, *, seed: int) -> Iterator[list[int]]:
    """Yield the images of each iteration, for ever.

    Images are shuffled anew each epoch. A step holds only wide or only high images, so that little
    of it is padding, and what is left over waits for the next; a batch is the steps that come next,
    of whatever shape. detectron2 groups in the same way what one GPU sees (commit 02b5c4e2,
    data/common.py, AspectRatioGroupedDataset).

    Args:
        wide: for each image, whether it is wider than high.
        division: how many images a batch and its steps have.
    """
    images = _shuffled(len(wide), seed)
    waiting: dict[bool, list[int]] = {True: [], False: []}
    while True:
        batch: list[int] = []
        for step in division.steps:
            batch += _next_step(wide, images, waiting, size=len(step))
        yield batch


def _shuffled(count: int, seed: int) -> Iterator[int]:
    for epoch in itertools.count():
        yield from np.random.default_rng([seed, epoch]).permutation(count).tolist()


def _next_step(
    wide: Sequence[bool], images: Iterator[int], waiting: dict[bool, list[int]], *, size: int
) -> list[int]:
    """Take images until as many of one shape wait as a step has."""
    while (full := next((g for g in waiting.values() if len(g) >= size), None)) is None:
        image = next(images)
        waiting[wide[image]].append(image)
    step, full[:size] = full[:size], []
    return step


def training_batches(
    records: Sequence[Record],
    make_example: MakeExample,
    *,
    division: Division,
    seed: int,
    iterations: range,
    workers: int,
) -> Generator[Batch]:
    """Yield this process's part of some batches, loaded by `workers` processes (0: by this one).

    A step is the same whatever process computes it, and however many there are.

    Args:
        records: the images to train on.
        make_example: reads and augments a record, by `rng`.
        division: which part of a batch is this process's.
        seed: seeds order, augmentation, and what the model draws.
        iterations: which batches, counted from the start of the training.
        workers: how many processes load.

    Raises:
        UserError: there is no image with an object to train on, or one cannot be read.
    """
    if not records:
        raise UserError("no training image has an object that is not a crowd: nothing to train on")
    wide = [record.width > record.height for record in records]
    order = batch_order(wide, division, seed=seed)
    loader = DataLoader(
        _Batches(records, make_example, division, seed),
        sampler=_numbered(order, iterations),
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
        worker_init_fn=_outlive_signals,
        # Its own: a loader draws a number when it starts, and a continued training starts one more.
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
    """One process's part of each batch.

    An error is handed on as a value: a worker's exception would come with a page of traceback.
    """

    def __init__(
        self, records: Sequence[Record], make_example: MakeExample, division: Division, seed: int
    ) -> None:
        self.records = records
        self.make_example = make_example
        self.division = division
        self.seed = seed

    def __getitem__(self, wanted: _Numbered) -> Batch | UserError:
        ids = [self.records[image].id for image in wanted.images]
        try:
            return Batch([self._step(wanted, n) for n in self.division.own_steps], ids)
        except UserError as error:
            return error

    def _step(self, wanted: _Numbered, number: int) -> Step:
        places = self.division.steps[number]
        examples = [self._example(wanted, place) for place in places]
        images, targets = (list(part) for part in zip(*examples, strict=True))
        weight = len(places) / self.division.images_per_batch
        return Step(images, targets, weight, step_seed(self.seed, wanted.iteration, number))

    def _example(self, wanted: _Numbered, place: int) -> tuple[Tensor, TargetLike]:
        rng = np.random.default_rng([self.seed, wanted.iteration, place])
        return self.make_example(self.records[wanted.images[place]], rng=rng)


def step_seed(seed: int, iteration: int, step: int) -> int:
    """Return the seed of what the model draws in one step: RoIs, points, dropout."""
    # The last number keeps it from the augmentation's, which has three.
    state = np.random.SeedSequence([seed, iteration, step, 1]).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))  # torch wants it signed


def _as_it_is(batch: Any) -> Any:
    return batch


def _outlive_signals(_: int) -> None:
    """Leave it to the training process to stop: what signals a job signals all its processes."""
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def to_device(step: Step, device: torch.device) -> Step:
    """Return a step on a device."""
    return replace(
        step,
        images=[image.to(device) for image in step.images],
        targets=[target.to(device) for target in step.targets],
    )
