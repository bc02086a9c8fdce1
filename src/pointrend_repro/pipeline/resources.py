"""What the job of each rule asks for, and how a training is launched on what it gets.

`config/resources.yaml` says it for every rule; a cluster's own names are in `slurm/cluster.yaml`.
None of it is a parameter of a rule: more GPUs, memory or time never train anything anew.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from pointrend_repro.base.errors import UserError
from pointrend_repro.config.yaml_files import one_line, read_yaml
from pointrend_repro.settings.instances import PositiveInt, Strict

# Slurm's signal so many seconds before the time limit. Not SIGTERM: of that `srun` would end the
# training at once wherever Slurm signals all processes of a job and not just the first.
_WARNING = "USR1@300"

# What the training needs to finish an iteration and to save; torchrun alone would wait 30 s.
_SHUTDOWN_S = 240
_FORWARDED_SIGNALS = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"


class Job(Strict):
    """What the jobs of a rule ask for."""

    gpu: bool = Field(False, description="runs on a GPU; a training on as many as `gpus` says")
    cpus: PositiveInt = Field(1, description="for each GPU or, without GPUs, for the job")
    memory_mb: PositiveInt = Field(description="for each GPU or, without GPUs, for the job")
    runtime_min: PositiveInt


class TrainingJob(Job):
    """What a training asks for; one that reaches its time limit goes on in the next job."""

    runtime_gpus: PositiveInt = Field(1, description="how many GPUs the run times are meant for")
    longer: dict[str, PositiveInt] = Field({}, description="other run times, by variant")


class Jobs(Strict):
    """What the jobs of all rules ask for that do not run where Snakemake itself does."""

    generate_data: Job
    prepare_cityscapes: Job
    train: TrainingJob
    predict: Job
    evaluate: Job
    draw_figure: Job
    draw_picture: Job
    count_cost: Job


class Resources(Strict):
    """`config/resources.yaml`."""

    cpu: Jobs = Field(description="of presets that need no GPU")
    gpu: Jobs = Field(description="of presets that need one")


SlurmName = Annotated[str, Field(pattern=r"^[\w.-]+$")]


class Slurm(Strict):
    """A cluster's own names and limits, `slurm` in `slurm/cluster.yaml`."""

    account: SlurmName | None = None
    partition: SlurmName | None = Field(None, description="none: the cluster's default")
    gpu_partition: SlurmName | None = Field(None, description="none: the same as partition")
    # Snakemake's plugin refuses other characters.
    gpu_type: Annotated[str, Field(pattern=r"^[\w.]+$")] | None = None
    gpu_constraint: str | None = None
    qos: SlurmName | None = None
    max_runtime_min: PositiveInt | None = None


@dataclass(frozen=True)
class Machines:
    """What a training is given: `gpus` processes on each of `nodes` machines."""

    gpus: int = 1
    nodes: int = 1

    @property
    def total(self) -> int:
        """Processes of one training."""
        return self.gpus * self.nodes


def machines_of(job: Job, gpus: int, nodes: int) -> Machines:
    """Return what a training is given that asks for GPUs, or for none."""
    return Machines(gpus, nodes) if job.gpu else Machines()


@dataclass(frozen=True)
class Asked:
    """What the jobs of one rule ask for, as Snakemake takes it.

    Attributes:
        threads: CPUs, of one machine.
        resources: by the names of Snakemake's executor plugin for Slurm.
    """

    threads: int
    resources: dict[str, int | str]


def load_resources(config_dir: Path) -> Resources:
    """Read `config/resources.yaml`.

    Raises:
        UserError: it is missing, or has an unknown key or a wrong value.
    """
    path = config_dir / "resources.yaml"
    try:
        return Resources.model_validate(read_yaml(path))
    except ValidationError as error:
        raise UserError(f"{path}: {one_line(error, Resources)}") from None


def ask(job: Job, machines: Machines, slurm: Slurm | None) -> Asked:
    """Say what a rule's jobs ask for, beside the run time of trainings.

    Args:
        machines: of one job; what is asked for holds for each of its nodes.
        slurm: None where Slurm is not asked.
    """
    count = machines.gpus if job.gpu else 1
    threads = job.cpus * count
    resources: dict[str, int | str] = {"mem_mb": job.memory_mb * count}
    if not isinstance(job, TrainingJob):
        resources["runtime"] = _at_most(job.runtime_min, slurm)
    if job.gpu:
        resources["local_gpus"] = machines.total
    if slurm is not None:
        resources |= _slurm_names(job, slurm)
        if job.gpu:
            resources |= _slurm_gpus(machines, slurm, threads)
        if isinstance(job, TrainingJob):
            # A requeued job keeps what it wrote before.
            resources["slurm_extra"] = f"--signal={_WARNING} --open-mode=append"
    return Asked(threads, resources)


def training_runtime_min(
    job: TrainingJob, variant: str, machines: Machines, slurm: Slurm | None
) -> int:
    """Return the time limit of a training's job, in minutes; fewer GPUs take longer."""
    minutes = job.longer.get(variant, job.runtime_min)
    if job.gpu:
        minutes = -(-minutes * job.runtime_gpus // machines.total)
    return _at_most(minutes, slurm)


def launcher(machines: Machines, threads: int, slurm: Slurm | None) -> str:
    """Return what stands before `pointrend-repro train` to start it once for each GPU.

    Under Slurm it is a job step of its own. Slurm signals the first process of each step alone,
    and in the step that Snakemake's plugin starts that is a Snakemake, which does not pass it on.
    """
    parts = []
    if slurm is not None:
        parts.append(
            f"srun --overlap --nodes {machines.nodes} --ntasks {machines.nodes}"
            f" --ntasks-per-node 1 --cpus-per-task {threads} --kill-on-bad-exit=1"
        )
    if machines.total > 1:
        parts.append(f"torchrun {_rendezvous(machines)} --nproc-per-node {machines.gpus}")
        parts.append(f"--signals-to-handle {_FORWARDED_SIGNALS} --shutdown-timeout {_SHUTDOWN_S}")
        parts.append("--no-python")
    return " ".join(parts)


def process_threads(threads: int, machines: Machines, loader_workers: int) -> int:
    """Return how many threads each process may compute with, beside those that load images."""
    return max(1, threads // machines.gpus - loader_workers)


def _rendezvous(machines: Machines) -> str:
    if machines.nodes == 1:
        return "--standalone"
    # The shell runs on the job's first node. Two jobs there get different ports.
    port = "$((20000 + SLURM_JOB_ID % 20000))"
    return (
        f"--nnodes {machines.nodes} --rdzv-backend c10d --rdzv-id $SLURM_JOB_ID"
        f' --rdzv-endpoint "$(hostname):{port}"'
    )


def _slurm_names(job: Job, slurm: Slurm) -> dict[str, int | str]:
    partition = (slurm.gpu_partition or slurm.partition) if job.gpu else slurm.partition
    names = {
        "slurm_account": slurm.account,
        "slurm_partition": partition,
        "qos": slurm.qos,
        "constraint": slurm.gpu_constraint if job.gpu else None,
    }
    return {key: name for key, name in names.items() if name is not None}


def _slurm_gpus(machines: Machines, slurm: Slurm, threads: int) -> dict[str, int | str]:
    kind = f"gpu:{slurm.gpu_type}" if slurm.gpu_type else "gpu"
    # `gres` counts the GPUs of each node; `gpu` would count those of the job, on any of its nodes.
    asked: dict[str, int | str] = {
        "gres": f"{kind}:{machines.gpus}",
        "nodes": machines.nodes,
        "cpus_per_task": threads,
        "tasks_per_gpu": 0,  # older plugins start one task for each GPU
    }
    if machines.nodes > 1:
        # The plugin's word for "the rule's command starts its own tasks, on all nodes".
        asked |= {"mpi": "srun", "tasks": machines.nodes}
    return asked


def _at_most(minutes: int, slurm: Slurm | None) -> int:
    limit = slurm.max_runtime_min if slurm else None
    return min(minutes, limit) if limit else minutes
