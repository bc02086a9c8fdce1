"""What jobs ask for, as numbers and words; tests/slurm asks Slurm itself."""

from pathlib import Path

import pytest
import yaml

from pointrend_repro.base.errors import UserError
from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.config.papers import list_papers
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.pipeline.resources import (
    Job,
    Machines,
    Slurm,
    TrainingJob,
    ask,
    launcher,
    load_resources,
    machines_of,
    prediction_launcher,
    process_threads,
    training_runtime_min,
)
from pointrend_repro.pipeline.workflow import read_workflow_config

TRAIN = TrainingJob(
    gpu=True, cpus=8, memory_mb=24000, runtime_min=1440, runtime_gpus=8, longer={"x101": 4680}
)
PREDICT = Job(gpu=True, cpus=8, memory_mb=24000, runtime_min=240)
EVALUATE = Job(memory_mb=16000, runtime_min=480)


def test_without_slurm_only_what_one_machine_counts() -> None:
    asked = ask(TRAIN, Machines(2), None)
    assert asked.threads == 16
    assert asked.resources == {"mem_mb": 48000, "gpu_jobs": 1}
    assert ask(EVALUATE, Machines(), None).resources == {"mem_mb": 16000, "runtime": 480}


def test_jobs_without_a_gpu_ask_for_none() -> None:
    slurm = Slurm(partition="cpu", gpu_partition="gpu", gpu_constraint="nvlink")
    assert ask(EVALUATE, Machines(), slurm).resources == {
        "mem_mb": 16000,
        "runtime": 480,
        "slurm_partition": "cpu",
    }
    asked = ask(PREDICT, Machines(), slurm).resources
    assert (asked["slurm_partition"], asked["constraint"], asked["gres"]) == (
        "gpu",
        "nvlink",
        "gpu:1",
    )


def test_only_several_nodes_start_tasks_of_their_own() -> None:
    assert "mpi" not in ask(TRAIN, Machines(8), Slurm()).resources
    asked = ask(TRAIN, Machines(8, 2), Slurm()).resources
    assert (asked["mpi"], asked["tasks"], asked["nodes"]) == ("srun", 2, 2)


def test_machines_are_for_what_trains_on_gpus() -> None:
    assert machines_of(TRAIN, 8, 2) == Machines(8, 2)
    assert machines_of(TRAIN.model_copy(update={"gpu": False}), 8, 2) == Machines(1, 1)


def test_run_time_of_a_training() -> None:
    def minutes(variant: str, machines: Machines, limit: int | None = None) -> int:
        return training_runtime_min(TRAIN, variant, machines, Slurm(max_runtime_min=limit))

    assert minutes("r50", Machines(8)) == 1440
    assert minutes("x101", Machines(8)) == 4680
    assert minutes("r50", Machines(1)) == 8 * 1440
    assert minutes("r50", Machines(3)) == 3840
    assert minutes("r50", Machines(8, 2)) == 720
    assert minutes("x101", Machines(8), 2880) == 2880
    on_cpu = TRAIN.model_copy(update={"gpu": False})
    assert training_runtime_min(on_cpu, "r50", Machines(), None) == 1440


def test_launchers() -> None:
    assert launcher(Machines(), 8, None) == ""
    assert launcher(Machines(4), 32, None).startswith("torchrun --standalone --nproc-per-node 4 ")
    assert launcher(Machines(), 8, Slurm()).startswith("srun --overlap --nodes 1 --ntasks 1 ")
    assert "torchrun" not in launcher(Machines(), 8, Slurm())
    assert (
        prediction_launcher(Machines(), 8, None)
        == prediction_launcher(Machines(), 8, Slurm())
        == ""
    )
    assert prediction_launcher(Machines(4), 32, None) == launcher(Machines(4), 32, None) + " "
    two = launcher(Machines(4, 2), 32, Slurm())
    assert two.startswith("srun --overlap --nodes 2 --ntasks 2 --ntasks-per-node 1 ")
    assert "torchrun --nnodes 2 --rdzv-backend c10d" in two
    assert "--cpus-per-task 32 " in two


def test_processes_share_the_cpus() -> None:
    assert process_threads(64, Machines(8), loader_workers=4) == 4
    assert process_threads(8, Machines(), loader_workers=4) == 4
    assert process_threads(64, Machines(8, 2), loader_workers=4) == 4
    assert process_threads(2, Machines(), loader_workers=4) == 1


def test_shipped_run_times_name_variants_of_the_paper() -> None:
    longer = load_resources(CONFIG_DIR).gpu.train.longer
    known = set(load_grid("paper", papers=list_papers()).variants)
    for preset in CONFIG_DIR.glob("presets/paper_*.yaml"):
        known |= set(load_grid(preset.stem).variants)
    assert set(longer) <= known


def test_wrong_keys_are_refused_in_one_line(tmp_path: Path) -> None:
    shipped = (CONFIG_DIR / "resources.yaml").read_text()
    wrong = tmp_path / "resources.yaml"
    wrong.write_text(shipped.replace("memory_mb: 24000\n", "memory_gb: 24\n"))
    with pytest.raises(UserError, match=r"unknown key gpu\.train\.memory_gb; did you mean"):
        load_resources(tmp_path)
    with pytest.raises(UserError, match="gpu_type"):  # the plugin would refuse it, later
        read_workflow_config({"preset": "paper", "slurm": {"gpu_type": "a100-sxm4-80gb"}})
    with pytest.raises(UserError, match="nodes: several machines are for Slurm"):
        read_workflow_config({"preset": "paper", "nodes": 2})


@pytest.mark.parametrize("key", ["account", "partition", "gpu_partition", "qos"])
@pytest.mark.parametrize(("text", "shown"), [("123456", "123456"), ("0123", "83"), ("yes", "True")])
def test_a_name_of_slurms_that_yaml_reads_as_a_number_needs_quotes(
    key: str, text: str, shown: str
) -> None:
    """0123 in a YAML file is 83, so that it cannot be used as it is."""
    slurm = {"preset": "paper", "slurm": yaml.safe_load(f"{key}: {text}")}
    with pytest.raises(UserError, match=rf"slurm\.{key}: {shown} must be text; put it in quotes$"):
        read_workflow_config(slurm)
    quoted = {"preset": "paper", "slurm": yaml.safe_load(f"{key}: '{text}'")}
    found = read_workflow_config(quoted).slurm
    assert found is not None
    assert getattr(found, key) == text


@pytest.mark.parametrize("wrong", ["gpu, long", "gpu,", ",gpu", "gpu;rm"])
def test_partitions_are_separated_by_commas_alone(wrong: str) -> None:
    assert Slurm(partition="gpu,long").partition == "gpu,long"
    with pytest.raises(UserError, match=r"slurm\.partition: "):
        read_workflow_config({"preset": "paper", "slurm": {"partition": wrong}})


@pytest.mark.parametrize(
    ("device", "needs_gpu", "asks"),
    [("auto", True, True), ("auto", False, False), ("cpu", True, False), ("cuda", False, True)],
)
def test_who_asks_for_a_gpu(device: str, needs_gpu: bool, asks: bool) -> None:
    settings = read_workflow_config({"preset": "any", "device": device})
    assert settings.asks_for_gpu(needs_gpu=needs_gpu) is asks
