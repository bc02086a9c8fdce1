"""A real Slurm on this machine, for tests: munged, slurmctld and two slurmd, none of them as root.

Debian's packages `slurm-wlm` and `munge` are enough (`.ci/install-slurm`). Both nodes are this
machine: n1 and n2, with two processors, some memory and two pretended GPUs each.
"""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
NODES = ("n1", "n2")
# Where Debian has them: an ordinary user's PATH may lack it.
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

_CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmctldPort={port}
StateSaveLocation={folder}/ctld
SlurmdSpoolDir={folder}/slurmd.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
SlurmdParameters=config_overrides
MailProg=/bin/true
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
ReturnToService=2
MinJobAge=300
KillWait=20
GresTypes=gpu
NodeName=n[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{node_ports}] CPUs=2 \
RealMemory=8000 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class SlurmError(RuntimeError):
    """The cluster did not come up, or did not answer as it should."""


def missing_programs() -> list[str]:
    """Which of Slurm's daemons are not installed."""
    return [name for name in DAEMONS if shutil.which(name, path=_PATH) is None]


@dataclass(frozen=True)
class Cluster:
    """A running Slurm.

    Attributes:
        folder: holds its configuration, state and logs.
        environment: to run commands in that are to find it.
    """

    folder: Path
    environment: dict[str, str]

    def command(self, *command: str) -> str:
        """Run one of Slurm's commands and return what it printed."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise SlurmError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    def jobs(self) -> dict[int, tuple[str, str]]:
        """The jobs that wait or run: id -> (state, comment); the comment has rule and wildcards."""
        lines = self.command("squeue", "-h", "-o", "%i|%T|%k").splitlines()
        fields = [line.split("|", 2) for line in lines]
        return {int(job): (state, comment) for job, state, comment in fields}

    def running(self, comment: str) -> int | None:
        """The job that runs whose comment has this text in it."""
        for job, (state, text) in self.jobs().items():
            if state == "RUNNING" and comment in text:
                return job
        return None

    @contextlib.contextmanager
    def controller_away(self) -> Iterator[None]:
        """As when its machine crashes and starts again: slurmctld ends, and has its state back."""
        self._let_controller_save()
        path = self.folder / "slurmctld.pid"
        pid = int(path.read_text())
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), seconds=10, what="slurmctld is gone")
        path.unlink()
        try:
            yield
        finally:
            self.command("slurmctld", "-f", str(self.folder / "slurm.conf"))
            wait_until(path.exists, seconds=10, what="slurmctld is back")

    def _let_controller_save(self) -> None:
        """Or it would know, when it is back, nothing of the last seconds, in which jobs began."""
        saved = self.folder / "ctld" / "job_state"
        for job in self.jobs():
            before = saved.stat().st_mtime_ns if saved.exists() else 0
            self.command("scontrol", "update", f"JobId={job}", "AdminComment=saved")
            wait_until(
                lambda before=before: saved.exists() and saved.stat().st_mtime_ns != before,
                seconds=60,
                what="slurmctld has saved its jobs",
            )

    def cancel_all(self) -> None:
        """Cancel what is left, and wait until it is gone."""
        self.command("scancel", "--user", getpass.getuser())
        wait_until(lambda: not self.jobs(), seconds=60, what="the queue is empty")


@contextlib.contextmanager
def slurm_cluster() -> Iterator[Cluster]:
    """Start a Slurm, and take it down again whatever happens."""
    # munged refuses long paths and folders that others may write to, as pytest's may be.
    folder = Path(tempfile.mkdtemp(prefix="slurm."))
    # Or `timeout` and the like would leave the daemons behind.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        environment = _write_files(folder)
        cluster = Cluster(folder, environment)
        with contextlib.ExitStack() as stack:
            stack.callback(_kill_orphans, folder)
            stack.callback(_kill_daemons, folder)
            _start_daemons(cluster)
            stack.callback(_cancel_quietly, cluster)
            yield cluster
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        signal.signal(signal.SIGTERM, before)


def wait_until(condition: Callable[[], object], *, seconds: float, what: str) -> None:
    """Ask until it is so.

    Raises:
        SlurmError: it is not so after `seconds`.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SlurmError(f"not within {seconds:g} s: {what}")
        time.sleep(0.1)


def _write_files(folder: Path) -> dict[str, str]:
    for name in ("ctld", "log", "munge", "bin", *(f"slurmd.{node}" for node in NODES)):
        (folder / name).mkdir(mode=0o700)
    folder.chmod(0o755)
    ports = _free_ports(3)
    config = folder / "slurm.conf"
    config.write_text(
        _CONFIG.format(
            folder=folder,
            host=socket.gethostname().split(".")[0],
            user=getpass.getuser(),
            port=ports[0],
            node_ports=",".join(map(str, ports[1:])),
        )
    )
    # A count of GPUs without files is refused; two character devices that always are there do.
    (folder / "gres.conf").write_text("Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n")
    # Snakemake's plugin takes every SLURM_ variable away before it calls srun, this one too.
    srun = folder / "bin" / "srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={config} exec {shutil.which("srun")} "$@"\n')
    srun.chmod(0o755)
    key = folder / "munge" / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SNAKEMAKE_"))}
    return inherited | {"SLURM_CONF": str(config), "PATH": f"{folder / 'bin'}:{_PATH}"}


def _start_daemons(cluster: Cluster) -> None:
    folder = cluster.folder
    cluster.command(
        "munged",
        f"--key-file={folder}/munge/munge.key",
        f"--socket={folder}/munge.socket",
        f"--pid-file={folder}/munged.pid",
        f"--log-file={folder}/munge/munged.log",
        f"--seed-file={folder}/munge/seed",
    )
    config = str(folder / "slurm.conf")
    cluster.command("slurmctld", "-c", "-f", config)
    for node in NODES:
        cluster.command("slurmd", "-N", node, "-f", config)

    def all_idle() -> bool:
        with contextlib.suppress(SlurmError):
            return cluster.command("sinfo", "-h", "-N", "-t", "idle", "-o", "%N").split() == [
                *NODES
            ]
        return False

    try:
        wait_until(all_idle, seconds=30, what="both nodes of Slurm are idle")
    except SlurmError as error:
        logs = "".join(path.read_text()[-2000:] for path in (folder / "log").glob("*.log"))
        raise SlurmError(f"{error}\n{logs}") from None


def _cancel_quietly(cluster: Cluster) -> None:
    with contextlib.suppress(SlurmError):
        cluster.cancel_all()


def _kill_daemons(folder: Path) -> None:
    """End exactly the processes that this cluster has started."""
    names = [*(f"slurmd.{node}" for node in NODES), "slurmctld", "munged"]
    for name in names:
        path = folder / f"{name}.pid"
        with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
            os.kill(int(path.read_text()), signal.SIGTERM)
    for name in names:
        path = folder / f"{name}.pid"
        with contextlib.suppress(SlurmError):
            wait_until(lambda p=path: not p.exists(), seconds=10, what=f"{path} is gone")


def _kill_orphans(folder: Path) -> None:
    """End what jobs have left: linuxproc finds no process whose parent is gone; cgroups would."""
    mark = f"{folder / 'bin'}:".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (process / "environ").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for found in sockets:
            found.bind(("127.0.0.1", 0))
        return [found.getsockname()[1] for found in sockets]
