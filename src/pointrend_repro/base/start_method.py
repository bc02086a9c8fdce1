"""How worker processes start."""

import multiprocessing
import sys
from multiprocessing.context import BaseContext


def worker_context() -> BaseContext:
    """Return what starts workers: by a fork on Linux, elsewhere in Python's own way.

    Since Python 3.14 a server of Python's forks them on Linux. It would get the signals that a
    cluster sends to a whole job and die of them, the workers with it, before a checkpoint is saved.
    """
    return multiprocessing.get_context("fork" if sys.platform == "linux" else None)
