"""A run of the pipeline through `--profile slurm` that a test follows, and interferes with."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from cluster import Cluster, wait_until

from config_files import CLAIMS, config_file
from working_copy import WorkingCopy, make_copy

VARIANTS = ("mask_rcnn_r50_fpn", "pointrend_r50_fpn")
ITERATIONS = 80
# Patience with a machine that is busy with something else.
WAIT_S = 180

_SLURM_STATUS = ["--slurm-init-seconds-before-status-checks", "5"]
# As many failures as a test makes; they are the same for both of its trainings.
_RETRIES = ["--retries", "4"]


def make_small_copy(folder: Path, *, gpu: bool) -> WorkingCopy:
    """Preset smoke with two trainings, that save often, for two rows of Table 1.

    Args:
        gpu: let the trainings ask for GPUs. They compute on the CPU all the same.
    """
    copy = make_copy(folder)
    preset = copy.folder / "config/presets/smoke.yaml"
    content = yaml.safe_load(preset.read_text())
    content["trials"] = {"coco": 1}
    content["overrides"]["schedule"]["total_iters"] = ITERATIONS
    content["overrides"]["run"] |= {"log_every_iters": 1, "checkpoint_every_iters": 20}
    preset.write_text(yaml.safe_dump(content, sort_keys=False))
    table = config_file("tables/table1", copy.folder / "config")
    content = yaml.safe_load(table.read_text())
    content["rows"] = {row: content["rows"][row] for row in ("4conv_28", "pointrend_28")}
    table.write_text(yaml.safe_dump(content, sort_keys=False))
    config_file(CLAIMS, copy.folder / "config").write_text("{}\n")
    resources = copy.folder / "config/resources.yaml"
    content = yaml.safe_load(resources.read_text())
    for job in content["cpu"].values():
        job |= {"memory_mb": 1500, "runtime_min": 30}
    content["cpu"]["train"]["gpu"] = gpu
    resources.write_text(yaml.safe_dump(content, sort_keys=False))
    return copy


def training_folder(copy: WorkingCopy, variant: str) -> Path:
    return copy.folder / "results/smoke/generated_coco" / variant / "trial0"


def iterations_logged(copy: WorkingCopy, variant: str) -> list[int]:
    """The iterations that a training has logged, as they stand in its log."""
    path = training_folder(copy, variant) / "log.jsonl"
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line)["iteration"] for line in lines if line.endswith("\n")]


@dataclass(frozen=True)
class PilotedRun:
    """A Snakemake that runs in a process of its own, and the Slurm that it submits to."""

    copy: WorkingCopy
    cluster: Cluster
    process: subprocess.Popen[str]
    log: Path

    def job_in_iteration(self, variant: str, iteration: int, *, other_than: int = -1) -> int:
        """Wait until a training is as far, and return its Slurm job."""
        found: list[int] = []

        def is_as_far() -> bool:
            self.assert_alive()
            job = self.cluster.running(f"_{variant}_0")
            if job is None or job == other_than:
                return False
            found.append(job)
            return max(iterations_logged(self.copy, variant), default=-1) >= iteration

        wait_until(is_as_far, seconds=WAIT_S, what=f"{variant} is in iteration {iteration}")
        return found[-1]

    def wait_for_message(self, text: str) -> None:
        """Wait until Snakemake has said so."""

        def has_said() -> bool:
            said = text in self.log.read_text()
            if not said:
                self.assert_alive()
            return said

        wait_until(has_said, seconds=WAIT_S, what=f"Snakemake says: {text}")

    def assert_alive(self) -> None:
        assert self.process.poll() is None, self.log.read_text()

    def kill(self) -> None:
        """As a lost login node does: no chance to tidy up, and its jobs run on."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def finish(self) -> str:
        """Wait for its end, which has to be a good one, and return what it printed."""
        code = self.process.wait(timeout=2 * WAIT_S)
        assert code == 0, self.log.read_text()
        return self.log.read_text()


@contextlib.contextmanager
def piloted_run(copy: WorkingCopy, cluster: Cluster, *arguments: str) -> Iterator[PilotedRun]:
    """Start `snakemake --profile slurm`; nothing of it is left behind."""
    venv = Path(sys.executable).parent
    log = copy.folder / "snakemake.log"
    command = ["snakemake", "--profile", "slurm", *_SLURM_STATUS, *_RETRIES, *arguments]
    with log.open("w") as stream:
        process = subprocess.Popen(
            command,
            cwd=copy.folder,
            env=environment(cluster, venv),
            stdout=stream,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:
        yield PilotedRun(copy, cluster, process, log)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        cluster.cancel_all()


def environment(cluster: Cluster, venv: Path) -> dict[str, str]:
    first, rest = cluster.environment["PATH"].split(":", 1)
    return cluster.environment | {"PATH": f"{first}:{venv}:{rest}"}


def hold_still(copy: WorkingCopy, variant: str) -> Callable[[], bool]:
    """Stop a training, so that it does not end before the test has come to its point.

    Returns:
        Whether it still is. Slurm lets a process go on to which it sends a signal.
    """
    pid = _pid_of_training(variant, copy.folder)
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: _is_stopped(pid), seconds=10, what="the training is stopped")
    return lambda: _is_stopped(pid)


def _pid_of_training(variant: str, folder: Path) -> int:
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (path / "cmdline").read_text().split("\0")
            is_training = len(words) > 2 and words[1].endswith("/pointrend-repro")
            if is_training and variant in words and (path / "cwd").resolve() == folder.resolve():
                return int(path.name)
    raise AssertionError(f"no training of {variant} runs in {folder}")


def _is_stopped(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return "\nState:\tT" in Path(f"/proc/{pid}/status").read_text()
    return False
