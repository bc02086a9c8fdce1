"""The processes that predict a data set together, started by `torchrun`; usually there is just one.

Each predicts its own parts of the data set into files (`in_parts.py`), so they have little to tell
each other: that they have come to the same point, and what decides for all of them.
"""

import contextlib
import datetime
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist

from pointrend_repro.base.errors import UserError

# One rank may have much more to do than another: who is gone is noticed otherwise.
_LONGEST = datetime.timedelta(days=30)


def _alone() -> None:
    pass


def _own(said: str) -> str:
    return said


@dataclass(frozen=True)
class Ranks:
    """This process and the others.

    Attributes:
        rank: of this process, from 0.
        world_size: how many there are.
        meet: returns once all have called it.
        said_by_main: returns what rank 0 has called it with, once all have called it.
    """

    rank: int = 0
    world_size: int = 1
    meet: Callable[[], None] = _alone
    said_by_main: Callable[[str], str] = _own

    @property
    def is_main(self) -> bool:
        """Whether this process joins the parts and writes the record."""
        return self.rank == 0

    @contextlib.contextmanager
    def main_first(self) -> Iterator[None]:
        """Run a block in rank 0, and then in the others."""
        if not self.is_main:
            self.meet()
        yield
        if self.is_main:
            self.meet()


ONE_RANK = Ranks()


@contextlib.contextmanager
def launched_ranks(device: str) -> Iterator[Ranks]:
    """Join the processes that `torchrun` has started with this one, each with a GPU of its own.

    Args:
        device: `cpu`, or `cuda` for one GPU per process.

    Raises:
        UserError: there are fewer GPUs than processes.
    """
    if device != "cpu" and "LOCAL_RANK" in os.environ:
        _take_gpu(int(os.environ["LOCAL_RANK"]))
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield ONE_RANK
        return
    dist.init_process_group("gloo", timeout=_LONGEST)
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size(), _meet, _said_by_main)
    finally:
        dist.destroy_process_group()


def processes_here() -> int:
    """Return how many processes of `torchrun` share this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1))


def require_gpus() -> None:
    """Refuse to start where processes of this machine would share a GPU.

    Raises:
        UserError: there are fewer GPUs than processes.
    """
    here, found = processes_here(), torch.cuda.device_count()
    if here > max(found, 1):
        raise UserError(
            f"{here} processes on this machine, which has {found} GPUs; start one process "
            "for each GPU, or add `--device cpu`"
        )


def _take_gpu(local_rank: int) -> None:
    require_gpus()
    if torch.cuda.device_count():
        torch.cuda.set_device(local_rank)


def _meet() -> None:
    with _ending_together():
        dist.barrier()


def _said_by_main(said: str) -> str:
    told = [said]
    with _ending_together():
        dist.broadcast_object_list(told)
    return told[0]


@contextlib.contextmanager
def _ending_together() -> Iterator[None]:
    """End this process where another one is gone. Who has failed says why, the others nothing."""
    try:
        yield
    except RuntimeError as error:
        if dist.get_rank() == 0:
            raise UserError(
                "another process of this prediction has ended; its own message says why; run the "
                "same command again, which keeps the parts that are finished"
            ) from error
        raise SystemExit(UserError.exit_code) from None
