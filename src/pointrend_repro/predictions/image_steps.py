"""The three steps from an image of a data set to its predictions, in one process or in several.

    read      in a worker    the pixels, decoded and resized
    find      here           what the model finds in them
    encode    in a worker    pasted, as run lengths or as an image file

While the model looks at one image, workers read the next ones and encode the last ones. The same
workers do both, so that there are as many processes as cores are to spare, and none of them waits
while another has too much to do. Results come in the order of the images, and the same functions
make them wherever they run, so the number of workers changes no byte.

Few images are on their way at a time: those read ahead, and those that wait to be encoded. What is
found in them (100 masks of 224x224 take 20 MB) crosses in shared memory. Where there is little of
that (a container often has 64 MB in /dev/shm), it is copied through a pipe instead.
"""

import contextlib
import multiprocessing
import os
import pickle
import shutil
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from pointrend_repro.base.errors import UserError, printable_line
from pointrend_repro.base.start_method import worker_context

# How many images each worker reads ahead.
_AHEAD = 2

_SHARED_MEMORY = Path("/dev/shm")
_ENOUGH_BYTES = 1 << 30


@dataclass(frozen=True)
class Steps:
    """From a record of a data set to its predictions.

    `read` and `encode` are pickled: they are functions of modules, or parts of such, without the
    model. What crosses between the steps are tensors on the CPU, arrays and numbers.

    Attributes:
        read: makes of a record what the model is given.
        find: makes of a record and of that, with the model, what is encoded.
        encode: makes the predictions of the image of it.
    """

    read: Callable[[Any], Any]
    find: Callable[[Any, Any], Any]
    encode: Callable[[Any], Any]


@dataclass
class Timing:
    """How long predicting took, and how much of it the model.

    Attributes:
        images: how many were predicted.
        wall_s: from the first image's reading to the last one's result.
        model_s: the part of it in which the model computed.
    """

    images: int = 0
    wall_s: float = 0.0
    model_s: float = 0.0

    @property
    def waited(self) -> float:
        """The share of the time in which the model waited for other steps."""
        return 1 - self.model_s / self.wall_s if self.wall_s else 0.0

    @contextlib.contextmanager
    def of_all(self) -> Iterator[None]:
        """Count a block that predicts images."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.wall_s += time.perf_counter() - start

    @contextlib.contextmanager
    def of_model(self) -> Iterator[None]:
        """Count a block in which the model looks at one image."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.model_s += time.perf_counter() - start
            self.images += 1


def predict_images(
    steps: Steps, records: Sequence[Any], *, workers: int, timing: Timing
) -> Generator[Any]:
    """Yield the predictions of records, in their order.

    Args:
        workers: how many processes read and encode; 0: this one does.
        timing: is added to.

    Raises:
        UserError: an image cannot be read, or a worker was killed.
    """
    with timing.of_all():
        if workers and records:
            yield from _in_workers(steps, records, workers, timing)
            return
        for record in records:
            with _naming(record):
                seen = steps.read(record)
            with timing.of_model():
                found = steps.find(record, seen)
            with _naming(record):
                encoded = steps.encode(found)
            yield encoded


def _in_workers(
    steps: Steps, records: Sequence[Any], workers: int, timing: Timing
) -> Iterator[Any]:
    pack = _Pack(by_value=_has_little_shared_memory())
    read, encode = partial(_read, steps.read, pack), partial(_encode, steps.encode, pack)
    left = iter(records)
    with _processes(workers) as submit:
        reading = deque((record, submit(read, record)) for record in islice(left, workers * _AHEAD))
        encoding: deque[tuple[Any, Future[Any]]] = deque()
        while reading:
            record, future = reading.popleft()
            seen = pack.open(_result(record, future))
            reading.extend((record, submit(read, record)) for record in islice(left, 1))
            with timing.of_model():
                found = steps.find(record, seen)
            encoding.append((record, submit(encode, pack(found))))
            while len(encoding) > workers + 1 or (encoding and encoding[0][1].done()):
                yield _result(*encoding.popleft())
        while encoding:
            yield _result(*encoding.popleft())


@contextlib.contextmanager
def _naming(record: Any) -> Iterator[None]:
    """Add the image to what goes wrong in a block that reads or encodes it.

    Raises:
        UserError: the system could not read it, or had no memory for it.
    """
    try:
        yield
    except UserError:
        raise
    except (OSError, MemoryError) as error:
        raise UserError(f"{_name(record)}: {printable_line(error) or 'no memory left'}") from error
    except Exception as error:
        error.add_note(f"image: {_name(record)}")
        raise


def _name(record: Any) -> str:
    return str(getattr(record, "path", record))


@contextlib.contextmanager
def _processes(count: int) -> Iterator[Callable[..., Future[Any]]]:
    """Yield what lets workers do something; they are gone when the block ends, however it ends."""
    pool = ProcessPoolExecutor(count, worker_context(), _begin_worker)
    try:
        yield pool.submit
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_worker() -> None:
    """Compute with one thread, and end with the main process, not by the signals that it gets."""
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@dataclass(frozen=True)
class _Pack:
    """How values cross; torch puts the tensors of those sent as they are into shared memory."""

    by_value: bool

    def __call__(self, value: Any) -> Any:
        return pickle.dumps(value) if self.by_value else value

    def open(self, packed: Any) -> Any:
        return pickle.loads(packed) if self.by_value else packed


def _read(read: Callable[[Any], Any], pack: _Pack, record: Any) -> Any:
    return pack(read(record))


def _encode(encode: Callable[[Any], Any], pack: _Pack, found: Any) -> Any:
    return encode(pack.open(found))


def _has_little_shared_memory() -> bool:
    try:
        return shutil.disk_usage(_SHARED_MEMORY).free < _ENOUGH_BYTES
    except OSError:
        return False  # not Linux: shared memory is no folder


def _result(record: Any, future: "Future[Any]") -> Any:
    with _naming(record):
        try:
            return future.result()
        except BrokenProcessPool:
            raise UserError(
                f"{_name(record)}: a worker process was killed at this image or one of the next, "
                "perhaps since memory ran out; ask for more memory or say --workers 0"
            ) from None
        except RuntimeError as error:
            if "shared memory" not in str(error):
                raise
            raise UserError(
                f"{_name(record)}: {_SHARED_MEMORY} is full; make it larger or say --workers 0"
            ) from error
