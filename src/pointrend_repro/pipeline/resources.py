"""The resources of each rule's jobs, and how a training is launched on them.

`config/resources.yaml` has them for every rule; a cluster's own names are in `slurm/cluster.yaml`.
None of them is a parameter of a rule: more GPUs, memory or time never retrain anything.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError

from pointrend_repro.base.errors import UserError
from pointrend_repro.config.yaml_files import one_line, read_yaml
from pointrend_repro.settings.values import PositiveInt, Strict

# How many seconds before the time limit Slurm sends its signal. Not SIGTERM, on which `srun` would
# end the training at once wherever Slurm signals all processes of a job and not just the first.
_WARNING = "USR1@300"

# The time that a training needs to finish an iteration and save; torchrun's default is 30 s.
_SHUTDOWN_S = 240
_FORWARDED_SIGNALS = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"


class Job(Strict):
    """The resources of a rule's jobs."""

    gpu: bool = Field(
        False,
        description="on a GPU; a training on as many as `gpus` says, a prediction `predict_gpus`",
    )
    cpus: PositiveInt = Field(1, description="for each GPU or, without GPUs, for the job")
    memory_mb: PositiveInt = Field(description="for each GPU or, without GPUs, for the job")
    runtime_min: PositiveInt


class TrainingJob(Job):
    """The resources of a training; one that reaches its time limit resumes in the next job."""

    runtime_gpus: PositiveInt = Field(1, description="the number of GPUs the run times are for")
    longer: dict[str, PositiveInt] = Field({}, description="other run times, by variant")


class Jobs(Strict):
    """The resources of all rules whose jobs do not run in Snakemake's own process."""

    generate_data: Job
    prepare_cityscapes: Job
    train: TrainingJob
    predict: Job
    predict_untrained: Job
    evaluate: Job
    draw_figure: Job
    draw_picture: Job
    count_cost: Job
    measure_time: Job


class Resources(Strict):
    """`config/resources.yaml`."""

    cpu: Jobs = Field(description="of presets that need no GPU")
    gpu: Jobs = Field(description="of presets that need one")


def _not_a_number(value: Any) -> Any:
    # Nor made text of: YAML has already taken the zero away from 0123, and read it as octal.
    if isinstance(value, int | float):
        raise ValueError(f"{value} must be text; put it in quotes")
    return value


_IsText = BeforeValidator(_not_a_number)
SlurmName = Annotated[str, Field(pattern=r"^[\w.-]+$"), _IsText]
Partitions = Annotated[str, Field(pattern=r"^[\w.-]+(,[\w.-]+)*$"), _IsText]


class Slurm(Strict):
    """A cluster's own names and limits, `slurm` in `slurm/cluster.yaml`."""

    account: SlurmName | None = None
    partition: Partitions | None = Field(None, description="none: the cluster's default")
    gpu_partition: Partitions | None = Field(None, description="none: the same as partition")
    # Snakemake's plugin rejects other characters.
    gpu_type: Annotated[str, Field(pattern=r"^[\w.]+$")] | None = None
    gpu_constraint: str | None = None
    qos: SlurmName | None = None
    max_runtime_min: PositiveInt | None = None


@dataclass(frozen=True)
class Machines:
    """What a training runs on: `gpus` processes on each of `nodes` machines."""

    gpus: int = 1
    nodes: int = 1

    @property
    def total(self) -> int:
        """Processes of one training."""
        return self.gpus * self.nodes


def machines_of(job: Job, gpus: int, nodes: int) -> Machines:
    """Return what a job runs on, which may need no GPUs."""
    return Machines(gpus, nodes) if job.gpu else Machines()


@dataclass(frozen=True)
class Asked:
    """The resources of one rule's jobs, in Snakemake's form.

    Attributes:
        threads: CPUs, of one machine.
        resources: under the names of Snakemake's executor plugin for Slurm. `gpu_jobs` is one of a
            job on GPUs: of these, one at a time runs on a machine without Slurm.
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
    """Return the resources of a rule's jobs, except the run time of trainings.

    Args:
        machines: of one job; resources are per node.
        slurm: None without Slurm.
    """
    count = machines.gpus if job.gpu else 1
    threads = job.cpus * count
    resources: dict[str, int | str] = {"mem_mb": job.memory_mb * count}
    if not isinstance(job, TrainingJob):
        resources["runtime"] = _at_most(job.runtime_min, slurm)
    if job.gpu:
        resources["gpu_jobs"] = 1
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
    """Return the time limit of a training's job, in minutes; with fewer GPUs it is longer."""
    minutes = job.longer.get(variant, job.runtime_min)
    if job.gpu:
        minutes = -(-minutes * job.runtime_gpus // machines.total)
    return _at_most(minutes, slurm)


def launcher(machines: Machines, threads: int, slurm: Slurm | None) -> str:
    """Return the command prefix that starts `pointrend-repro train`, or predict, for each GPU.

    Under Slurm it is a job step of its own. Slurm signals only the first process of each step,
    which in the step of Snakemake's plugin is a Snakemake that does not pass the signal on.
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


def prediction_launcher(machines: Machines, threads: int, slurm: Slurm | None) -> str:
    """Return the prefix for predictions, with a space behind it; of one process it is empty.

    A prediction that is stopped keeps its finished parts, so that one process needs no signals.
    """
    return f"{launcher(machines, threads, slurm)} " if machines.total > 1 else ""


def process_threads(threads: int, machines: Machines, loader_workers: int) -> int:
    """Return how many threads each process may compute with, besides those that load images."""
    return max(1, threads // machines.gpus - loader_workers)


def _rendezvous(machines: Machines) -> str:
    if machines.nodes == 1:
        return "--standalone"
    # The shell runs on the job's first node. Two jobs on one node get different ports.
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
    # `gres` counts GPUs per node; `gpu` would count those of the job, on any of its nodes.
    asked: dict[str, int | str] = {
        "gres": f"{kind}:{machines.gpus}",
        "nodes": machines.nodes,
        "cpus_per_task": threads,
        "tasks_per_gpu": 0,  # older plugins start one task for each GPU
    }
    if machines.nodes > 1:
        # The plugin's setting for "the rule's command starts its own tasks, on all nodes".
        asked |= {"mpi": "srun", "tasks": machines.nodes}
    return asked


def _at_most(minutes: int, slurm: Slurm | None) -> int:
    limit = slurm.max_runtime_min if slurm else None
    return min(minutes, limit) if limit else minutes
