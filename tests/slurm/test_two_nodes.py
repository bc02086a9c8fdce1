"""One training on two nodes of a real Slurm, which srun and torchrun start together."""

import json
from pathlib import Path

import pytest
from cluster import Cluster
from piloted_run import (
    ITERATIONS,
    VARIANTS,
    iterations_logged,
    make_small_copy,
    piloted_run,
    training_folder,
)

pytestmark = [pytest.mark.slow, pytest.mark.needs_slurm]


@pytest.mark.timeout(600)
def test_two_nodes_train_one_model_and_stop_together(tmp_path: Path, cluster: Cluster) -> None:
    copy = make_small_copy(tmp_path / "copy", gpu=True)
    variant = VARIANTS[0]
    folder = training_folder(copy, variant)
    target = str((folder / "model.safetensors").relative_to(copy.folder))
    with piloted_run(copy, cluster, "--config", "gpus=1", "nodes=2", "--", target) as run:
        job = run.job_in_iteration(variant, 3)
        nodes = cluster.command("squeue", "-h", "-j", str(job), "-o", "%N").strip()
        assert nodes == "n[1-2]"
        # To all processes of both nodes, as the warning of the time limit and preemption come.
        cluster.command("scancel", "--signal=USR1", str(job))
        text = run.finish()
    assert "stopped by SIGUSR1" in text
    record = json.loads((folder / "model.origin.json").read_text())["train"]
    assert record["world_size"] == 2
    assert iterations_logged(copy, variant) == list(range(ITERATIONS))
