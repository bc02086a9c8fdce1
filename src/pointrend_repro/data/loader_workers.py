"""The processes that load images for a training: when they end, and what they may open."""

import contextlib
import os
import resource
import signal
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.sharedctypes import RawValue
from types import FrameType
from typing import Any

# Each tensor of a loaded batch is an open file: a batch of 32 patches is 160 of them, and several
# batches wait where one is late. Usual are 1,024 files, and leave to ask for more.
_FILES = 1 << 16


@contextlib.contextmanager
def serving_this_process() -> Iterator[Callable[[int], None]]:
    """Return the `worker_init_fn` of a loader whose workers serve this process inside the block.

    Meanwhile a signal to the whole job does not end them: this process stops them itself. After the
    block they end by SIGTERM, which Python sends, and then waits for them, where an error ends this
    process while they run.
    """
    _allow_open_files()
    over = RawValue("b", 0)
    try:
        yield partial(_outlive_signals, over=over, served=os.getpid())
    finally:
        over.value = 1


def _outlive_signals(_: int, *, over: Any, served: int) -> None:
    def end_if_over(number: int, frame: FrameType | None) -> None:
        if over.value or os.getppid() != served:
            os._exit(0)

    signal.signal(signal.SIGTERM, end_if_over)
    for number in (signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def _allow_open_files() -> None:
    """Raise this process's limit of open files, and so its workers', as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(ValueError, OSError):  # macOS allows fewer than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
