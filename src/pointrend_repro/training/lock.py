"""One training at a time per folder: two would overwrite each other's checkpoints and log."""

import contextlib
import fcntl
import logging
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import write_errors

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def only_training_in(folder: Path) -> Iterator[None]:
    """Keep other trainings out of `folder` during the block.

    The system frees the lock when this process ends, however it ends. It also holds between
    machines if their shared disk supports locks; otherwise only a warning is logged.

    Raises:
        UserError: another training is running there.
    """
    path = folder / "training.lock"
    with write_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        stream = path.open("a+", encoding="utf-8")
    with stream:
        try:
            # Not flock: a loader process would inherit it, and may outlive this one.
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            stream.seek(0)
            holder = stream.read().strip() or "of unknown number"
            raise UserError(
                f"{folder}: another training is at work here, process {holder}; wait for its end "
                "or end it, then run the same command again"
            ) from None
        except OSError as error:
            _log.warning("%s: this disk has no locks (%s)", path, error.strerror)
        with write_errors(path):  # without a buffer, which would be written again on closing
            os.ftruncate(stream.fileno(), 0)
            os.write(stream.fileno(), f"{os.getpid()} on {platform.node()}\n".encode())
        yield
