"""How a prediction is shared: among cores, among ranks, and with a run that was interrupted."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.own_code import loaded_modules, modules_digest
from pointrend_repro.base.provenance import digest, versions
from pointrend_repro.pipeline.steps.devices import device_name

if TYPE_CHECKING:
    from pointrend_repro.predictions.in_parts import Work
    from pointrend_repro.predictions.ranks import Ranks

_log = logging.getLogger(__name__)

# Fewer images are predicted before more processes pay.
_FEW_IMAGES = 50


@dataclass(frozen=True)
class Cores:
    """The cores of a prediction on this machine.

    On a CPU the model computes with `count` threads, in each process, whatever else there is: its
    numbers depend on them in the last bits. On a GPU they do not, so workers are taken from
    `count`, which all processes of this machine share.

    Attributes:
        count: of them.
        workers: how many of each process read and encode; None: as `workers_of` says.
    """

    count: int = 1
    workers: int | None = None

    def workers_of(self, images: int, device: str, processes: int) -> int:
        """Return how many workers each of some processes has for so many images.

        With a GPU, all its cores but one, from which it is fed, unless there are fewer than 50
        images. On a CPU none: reading and encoding take a hundredth of the time there
        (docs/performance/), and a core that computes the model instead is never idle.
        """
        if self.workers is not None:
            return self.workers
        if device == "cpu" or images < _FEW_IMAGES:
            return 0
        return max(0, self.count // processes - 1)

    def threads(self, workers: int, device: str, processes: int) -> int:
        """Return how many threads a process with these workers computes with."""
        if device == "cpu":
            return self.count
        return max(1, self.count // processes - workers)


ONE_CORE = Cores()


@dataclass(frozen=True)
class Sharing:
    """How this process predicts a data set with others, its workers and other ranks."""

    cores: Cores
    ranks: "Ranks"
    device: str

    def work(self, images: Sequence[Any], made_from: Any) -> "Work":
        """Return this process's work, after limiting torch to its threads.

        Args:
            images: records of what is predicted.
            made_from: settings, and digests of models and data, as JSON values.
        """
        import torch

        from pointrend_repro.predictions.in_parts import Work
        from pointrend_repro.predictions.ranks import processes_here

        own, here = len(images) // self.ranks.world_size, processes_here()
        workers = self.cores.workers_of(own, self.device, here)
        torch.set_num_threads(self.cores.threads(workers, self.device, here))
        code = modules_digest(loaded_modules())
        device = self.ranks.said_by_main(device_name(self.device))
        ids = [image.id for image in images]
        decides = digest([made_from, ids, code, versions(), device])
        return Work(workers=workers, ranks=self.ranks, made_from=decides)

    def told(self, work: "Work | None") -> dict[str, Any]:
        """Log how fast the images were predicted, and return what the record says of it."""
        if work is None:
            return {}
        timing, world_size = work.timing, self.ranks.world_size
        among = f", process 0 of {world_size}" if world_size > 1 else ""
        _log.info(
            "%d images in %.1f s; the model waited %.1f %% of the time (%d workers%s)",
            timing.images,
            timing.wall_s,
            100 * timing.waited,
            work.workers,
            among,
        )
        told = {
            "device": device_name(self.device),
            "timing": {
                "images": timing.images,
                "wall_s": round(timing.wall_s, 3),
                "model_s": round(timing.model_s, 3),
                "workers": work.workers,
            },
        }
        return told | ({"world_size": world_size} if world_size > 1 else {})


@contextlib.contextmanager
def of_one_rank() -> Iterator[None]:
    """Mark a user's error in a block as this rank's own, which it has to tell itself."""
    try:
        yield
    except UserError as error:
        error.is_of_one_rank = True
        raise
