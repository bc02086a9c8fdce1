"""Trainings in processes of their own: several that train together, and such as may be killed.

They are forked from a server that has imported torch, so that starting one takes no time.
"""

import multiprocessing
import os
import socket
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from small_experiment import DATASET, PRESET, VARIANT

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["pointrend_repro.training.loop", "pointrend_repro.cli"])

TIMEOUT_S = 120

Function = Callable[..., object]


class Children:
    """Processes that run one function together, as `torchrun` would start them.

    Args:
        function: of a module that a child can import; it gets `args`.
        count: how many; one alone is told nothing of processes.
        log: gets what they write to stdout and stderr.
    """

    def __init__(self, function: Function, *args: Any, count: int = 1, log: Path) -> None:
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
        port = str(_free_port())
        self.processes: list[BaseProcess] = []
        for rank in range(count):
            together = {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(count),
                "LOCAL_WORLD_SIZE": str(count),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": port,
            }
            environment = together if count > 1 else {}
            child = _CONTEXT.Process(target=_run, args=(environment, log, function, args))
            child.start()
            self.processes.append(child)

    def wait(self) -> list[int | None]:
        """Return the exit codes; minus the signal of those that were killed."""
        for process in self.processes:
            process.join(TIMEOUT_S)
            if process.is_alive():
                for each in self.processes:
                    each.kill()
                raise AssertionError(f"still running after {TIMEOUT_S} s:\n{self.output}")
        return [process.exitcode for process in self.processes]

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def told(self) -> list[str]:
        """What the command line says, without progress and warnings."""
        return [x for x in self.output.splitlines() if x.startswith("pointrend-repro: ")]


def run_children(function: Function, *args: Any, count: int = 1, log: Path) -> str:
    """Run a function in some processes, all of which end well, and return what they wrote."""
    children = Children(function, *args, count=count, log=log)
    assert children.wait() == [0] * count, children.output
    return children.output


def rank() -> int:
    return int(os.environ.get("RANK", 0))


def train_arguments(config_dir: Path, root: Path, folder: Path) -> list[str]:
    """Arguments of a training of `small_experiment`, whose model will be in `folder`."""
    what = ["--preset", PRESET, "--dataset", DATASET, "--variant", VARIANT, "--trial", "0"]
    where = ["--config-dir", str(config_dir), "--data-root", str(root), "--device", "cpu"]
    return ["train", *what, *where, "--output", str(folder / "model.safetensors")]


def command(arguments: list[str], accident: Function | None = None, *args: Any) -> None:
    """Run the command line, after `accident` has prepared what is to go wrong."""
    from pointrend_repro.cli import main

    if accident is not None:
        accident(*args)
    sys.argv = ["pointrend-repro", *arguments]
    main()


def _run(environment: dict[str, str], log: Path, function: Function, args: Any) -> None:
    import torch

    # As since Python 3.14 in a process that a person starts; of ours it must start no workers.
    multiprocessing.set_start_method("forkserver", force=True)
    stream = os.open(log, os.O_WRONLY | os.O_APPEND)
    for number in (1, 2):
        os.dup2(stream, number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
    os.environ.update(environment)
    os.fsync = lambda _: None  # the machine stays on, whatever happens to the process
    torch.set_num_threads(1)
    function(*args)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
