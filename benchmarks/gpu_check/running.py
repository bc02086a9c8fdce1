"""Runs stages in processes of their own, each with a limit, all within one budget of seconds.

A GPU's error leaves its process unusable, and a hanging kernel cannot be interrupted: a process can
be ended, and the next stage starts in a fresh one.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu_check.stage import FOUND

_LAST_LINES = 15
_LOOK_EVERY_S = 0.05


@dataclass(frozen=True)
class Stage:
    """One stage of the check.

    Attributes:
        name: of its module, `stage_NAME`.
        least_s: it is not started with less than this left.
        most_s: when it is ended, or when the budget is, if that comes first.
        beside: whether the next stages run while it does; it may take all that is left.
    """

    name: str
    least_s: float
    most_s: float
    beside: bool = False


@dataclass
class _Running:
    stage: Stage
    folder: Path
    process: subprocess.Popen[bytes]
    start: float
    until: float


def run_stages(
    stages: Sequence[Stage],
    command: Callable[[str, Path], list[str]],
    *,
    folder: Path,
    until: float,
    environment: dict[str, str],
) -> dict[str, dict[str, Any]]:
    """Run stages and return what each has found.

    Args:
        stages: in their order.
        command: makes the command of a stage from its name and the folder for what it finds.
        folder: gets a folder for each stage, with `found.json` and `output.txt`.
        until: the moment at which all ends, by `time.monotonic()`.
        environment: of the stages' processes.

    Returns:
        Name -> `status` (`done`, `failed`, `out of time` or `skipped`), `seconds`, and what the
        stage has found; where it failed, `last_lines` of its output.
    """
    results: dict[str, dict[str, Any]] = {}
    beside: list[_Running] = []
    for stage in stages:
        left = until - time.monotonic()
        if left < stage.least_s:
            why = f"{left:.0f} s are left, it needs {stage.least_s:.0f}"
            results[stage.name] = {"status": "skipped", "why": why}
            continue
        running = _start(stage, command, folder / stage.name, until, environment)
        if stage.beside:
            beside.append(running)
        else:
            results[stage.name] = _finish(running)
    for running in beside:
        results[running.stage.name] = _finish(running)
    return results


def _start(
    stage: Stage,
    command: Callable[[str, Path], list[str]],
    folder: Path,
    until: float,
    environment: dict[str, str],
) -> _Running:
    folder.mkdir(parents=True)
    now = time.monotonic()
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            command(stage.name, folder),
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # so that what it starts ends with it
        )
    return _Running(stage, folder, process, now, min(now + stage.most_s, until))


def _finish(running: _Running) -> dict[str, Any]:
    """Wait for a stage, or end it, and return what it found."""
    while running.process.poll() is None and time.monotonic() < running.until:
        time.sleep(_LOOK_EVERY_S)
    code = running.process.poll()
    _end_all_of(running.process)
    seconds = round(time.monotonic() - running.start, 1)
    status = "out of time" if code is None else "failed" if code else "done"
    result = {"status": status, "seconds": seconds, **_found(running.folder)}
    if status != "done":
        lines = (running.folder / "output.txt").read_text(errors="replace").splitlines()
        result["last_lines"] = lines[-_LAST_LINES:]
    return result


def _end_all_of(process: subprocess.Popen[bytes]) -> None:
    """End a process, if it still runs, and all that it has started and not ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended; so says macOS
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _found(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / FOUND).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found
