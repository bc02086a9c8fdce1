"""Limits of this process, lowered for a while, so that the system really refuses."""

import contextlib
import resource
from collections.abc import Iterator


@contextlib.contextmanager
def lowered(kind: int, soft: int) -> Iterator[None]:
    """Lower a limit, such as `resource.RLIMIT_FSIZE`, during the block."""
    before, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (soft, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (before, hard))
