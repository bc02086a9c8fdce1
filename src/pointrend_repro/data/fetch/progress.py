"""Progress of a download: a bar on a terminal, a line per minute in a log."""

import contextlib
import logging
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from pointrend_repro.data.fetch.request import Report

_log = logging.getLogger(__name__)
_LOG_EVERY_S = 60.0


@contextlib.contextmanager
def shown(title: str) -> Iterator[Report]:
    """Yield a function that shows bytes done and, if known, bytes in all."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _logged(title)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    speed = (TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, *speed, console=console) as bars:
        task = bars.add_task(title, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def _logged(title: str) -> Report:
    last = time.monotonic()

    def report(done: int, total: int | None) -> None:
        nonlocal last
        if time.monotonic() - last < _LOG_EVERY_S and done != total:
            return
        last = time.monotonic()
        share = f" of {total / 1e6:.1f} MB ({done / total:.0%})" if total else " MB"
        _log.info("%s: %.1f%s", title, done / 1e6, share)

    return report
