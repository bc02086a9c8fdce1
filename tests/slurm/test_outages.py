"""slurmctld goes away and comes back, while a training is submitted and while it runs."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster, wait_until
from piloted_run import (
    ITERATIONS,
    VARIANTS,
    WAIT_S,
    hold_still,
    iterations_logged,
    make_small_copy,
    piloted_run,
    training_folder,
)

from working_copy import WorkingCopy

pytestmark = [pytest.mark.slow, pytest.mark.needs_slurm]

POINTREND = VARIANTS[1]


@contextlib.contextmanager
def held_up_sbatch(cluster: Cluster) -> Iterator[tuple[Path, Path]]:
    """Let sbatch wait once it is called: the first file then appears, the second lets it go on."""
    called, released = (cluster.folder / f"sbatch.{name}" for name in ("called", "released"))
    stub = cluster.folder / "bin" / "sbatch"
    stub.write_text(
        f"#!/bin/sh\ntouch {called}\nwhile [ ! -e {released} ]; do sleep 0.1; done\n"
        f'exec {shutil.which("sbatch")} "$@"\n'
    )
    stub.chmod(0o755)
    try:
        yield called, released
    finally:
        released.touch()
        stub.unlink()


@pytest.mark.timeout(900)
def test_a_run_outlives_a_controller_that_goes_away_twice(
    tmp_path: Path, undisturbed: WorkingCopy, cluster: Cluster
) -> None:
    copy = make_small_copy(tmp_path / "copy", gpu=False)
    shutil.copytree(undisturbed.folder / "data", copy.folder / "data")
    model = training_folder(copy, POINTREND) / "model.safetensors"
    target = str(model.relative_to(copy.folder))
    with held_up_sbatch(cluster) as (called, released), piloted_run(copy, cluster, target) as run:
        wait_until(called.exists, seconds=WAIT_S, what="the training is submitted")
        with cluster.controller_away():
            released.touch()
            run.wait_for_message("slurmctld is away")
        job = run.job_in_iteration(POINTREND, 3)
        # It would take two minutes longer if the training ended while nobody listens.
        hold_still(copy, POINTREND)
        with cluster.controller_away():
            run.wait_for_message("Slurm does not say how the jobs are")
        cluster.command("scancel", "--signal=CONT", str(job))
        text = run.finish()
    assert "Unable to contact slurm controller" in text
    assert "Slurm answers again" in text
    assert text.count("has been submitted with SLURM jobid") == 1
    assert iterations_logged(copy, POINTREND) == list(range(ITERATIONS))
    same = training_folder(undisturbed, POINTREND) / "model.safetensors"
    assert model.read_bytes() == same.read_bytes()
