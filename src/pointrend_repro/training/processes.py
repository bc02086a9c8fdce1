"""The processes that train one model together, started by `torchrun`; usually there is just one.

Only process 0 reads checkpoints and writes files. An error or a signal in any process reaches all
of them at the same point of the program, so that none waits forever for another.
"""

import contextlib
import os
import warnings
from collections.abc import Iterator
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn

from pointrend_repro.base.errors import StoppedBySignal, UserError, printable_line
from pointrend_repro.modeling.sync_batch_norm import move_sync_batch_norm_to_cpu
from pointrend_repro.predictions.ranks import require_gpus

T = TypeVar("T")


class Processes:
    """This process and the others.

    Args:
        device: `cpu`, or `cuda` for one GPU per process.

    Attributes:
        accelerator: on the device of this process.
        rank: of this process, from 0.
        world_size: how many processes there are.

    Raises:
        UserError: there are fewer GPUs than processes.
    """

    def __init__(self, device: str) -> None:
        if device != "cpu":
            require_gpus()
        if "LOCAL_RANK" in os.environ:  # otherwise accelerate sets a number of threads itself
            os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))
        self.accelerator = Accelerator(cpu=device == "cpu")
        self.rank: int = self.accelerator.process_index
        self.world_size: int = self.accelerator.num_processes
        # Small messages between the processes use the CPU, whatever the GPUs are doing.
        self._group = _new_group() if self.world_size > 1 else None

    @property
    def is_main(self) -> bool:
        """Whether this process reads checkpoints and writes files."""
        return self.rank == 0

    def prepare(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, *, find_unused_parameters: bool
    ) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Move a model to this process's device, and average its gradients over all processes.

        Args:
            find_unused_parameters: whether some parameters get no gradient in some iterations.
        """
        self.accelerator.ddp_handler = DistributedDataParallelKwargs(
            find_unused_parameters=find_unused_parameters,
            # Buffers are equal: frozen, or statistics over the images of all processes.
            broadcast_buffers=False,
        )
        if self.accelerator.device.type == "cpu":
            move_sync_batch_norm_to_cpu(model)
        prepared: tuple[nn.Module, torch.optim.Optimizer]
        with warnings.catch_warnings():
            # accelerate only has `broadcast_buffers`, for which torch has a newer name.
            warnings.simplefilter("ignore", FutureWarning)
            # Said, since accelerate would look for shards of weights, and import the compiler.
            placed = [True, True]
            prepared = self.accelerator.prepare(model, optimizer, device_placement=placed)
        return prepared

    @contextlib.contextmanager
    def sharing_errors(self) -> Iterator[None]:
        """Run a block in all processes; if one has a user's error, all end with it.

        Raises:
            UserError: in process 0, the first error of any process.
            SystemExit: in the others, with the exit code of a user's error.
        """
        error = None
        try:
            yield
        except UserError as caught:
            error = caught
        if not self.largest(error is not None):
            return
        messages = [m for m in self.gather(str(error) if error else None) if m is not None]
        self.end_by(error or UserError(messages[0]))

    def largest(self, number: int) -> int:
        """Return the maximum of all processes' numbers."""
        if self._group is None:
            return int(number)
        value = torch.tensor(int(number))
        with self.reporting_lost_processes():
            dist.all_reduce(value, dist.ReduceOp.MAX, group=self._group)
        return int(value)

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of all processes' tensors, on their devices."""
        if self._group is not None:
            dist.all_reduce(values)
        return values

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes, by rank."""
        values: list[Any] = [value] * self.world_size
        if self._group is not None:
            with self.reporting_lost_processes():
                dist.all_gather_object(values, value, group=self._group)
        return values

    def from_main(self, value: T) -> T:
        """Return the value of process 0."""
        values: list[Any] = [value]
        if self._group is not None:
            with self.reporting_lost_processes():
                dist.broadcast_object_list(values, src=0, group=self._group)
        result: T = values[0]
        return result

    @contextlib.contextmanager
    def reporting_lost_processes(self) -> Iterator[None]:
        """Report in one line that another process has died, for which torch prints a page.

        Raises:
            UserError: in process 0, if another process has died.
            SystemExit: in the others, if a process has died.
        """
        try:
            yield
        except RuntimeError as error:
            if self._group is None or not _is_of_a_lost_one(error):
                raise
            self.end_by(
                UserError(
                    "another process of this training has ended; its own message says why; "
                    "run the same command again to continue from the newest checkpoint"
                )
            )

    @contextlib.contextmanager
    def reporting_ends(self) -> Iterator[None]:
        """Report a lost process, as above, a full GPU and a killed loader in one line each.

        Raises:
            UserError: the GPU of this process has too little memory, or one that loads its images
                was killed; other processes find it gone.
        """
        try:
            with self.reporting_lost_processes():
                yield
        except torch.OutOfMemoryError as error:
            raise _of_this_one(
                f"the GPU's memory does not suffice ({printable_line(error)}); lower "
                "optimizer.images_per_step, or set optimizer.precision to bf16: both change the "
                "weights. More GPUs help models with sync_bn, which take their share of a batch at "
                "once"
            ) from None
        except RuntimeError as error:
            if not str(error).startswith("DataLoader worker"):
                raise
            raise _of_this_one(
                f"a process that loads images was killed ({printable_line(error)}): most often by "
                "the system, for want of memory; ask for more (on Slurm: memory_mb in "
                "config/resources.yaml), or lower run.loader_workers, which changes no weight, and "
                "run the same command again to continue from the newest checkpoint"
            ) from None

    def stop(self, stopped: StoppedBySignal) -> NoReturn:
        """End this process once all others have come as far; process 0 raises the exception."""
        self.end()
        if self.is_main:
            raise stopped
        raise SystemExit(stopped.exit_code)

    def end(self) -> None:
        """Leave the process group when there is nothing left to do together."""
        if self._group is not None:
            with self.reporting_lost_processes():
                dist.barrier(group=self._group)
            dist.destroy_process_group()
            self._group = None

    def end_by(self, error: UserError) -> NoReturn:
        """End all processes because of an error that all of them have; process 0 reports it.

        Raises:
            UserError: in process 0.
            SystemExit: in the others, with the exit code of a user's error.
        """
        if self.is_main:
            raise error
        raise SystemExit(UserError.exit_code)


def _new_group() -> dist.ProcessGroup:
    group = dist.new_group(backend="gloo")
    assert isinstance(group, dist.ProcessGroup)  # every process is a member
    return group


def _of_this_one(told: str) -> UserError:
    error = UserError(told)
    error.is_of_one_rank = True
    return error


def _is_of_a_lost_one(error: RuntimeError) -> bool:
    return isinstance(error, dist.DistError) or "gloo" in str(error)
