"""Trainings on a real Slurm: cancelled, requeued, timed out, orphaned; nothing is lost."""

from pathlib import Path

import pytest
from cluster import Cluster, wait_until
from piloted_run import (
    ITERATIONS,
    VARIANTS,
    WAIT_S,
    PilotedRun,
    hold_still,
    iterations_logged,
    make_small_copy,
    piloted_run,
    training_folder,
)

from working_copy import WorkingCopy

pytestmark = [pytest.mark.slow, pytest.mark.needs_slurm]

MASK_RCNN, POINTREND = VARIANTS


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> WorkingCopy:
    """One job after the other is ended by force; then all is run to its end."""
    copy = make_small_copy(tmp_path_factory.mktemp("disturbed") / "copy", gpu=True)
    with piloted_run(copy, cluster, "--config", "gpus=1") as run:
        cancelled = run.job_in_iteration(MASK_RCNN, 3)
        assert "gpu:1" in cluster.command("scontrol", "show", "job", str(cancelled))
        cluster.command("scancel", str(cancelled))
        requeue(run, run.job_in_iteration(POINTREND, 3))
        # On a fast machine it would end before the other one has started again.
        run.job_in_iteration(POINTREND, max(iterations_logged(copy, POINTREND)) + 1)
        hold_still(copy, POINTREND)
        run.job_in_iteration(MASK_RCNN, 25, other_than=cancelled)
        run.kill()
        assert cluster.jobs(), "its jobs run on"
    # The end of the block has cancelled what was left, as docs/slurm.md says to do.
    refused = copy.snakemake("--cores", "1")
    assert "Directory cannot be locked" in refused.stderr
    unlocked = copy.snakemake("--unlock")
    assert unlocked.returncode == 0, unlocked.stderr
    with piloted_run(copy, cluster, "--config", "gpus=1") as run:
        reach_time_limit(run)
        run.finish()
    return copy


def requeue(run: PilotedRun, job: int) -> None:
    """What preemption does to a job: it goes back into the queue under its number."""
    run.cluster.command("scontrol", "requeue", str(job))
    wait_until(
        lambda: run.cluster.jobs().get(job, ("", ""))[0] == "PENDING",
        seconds=WAIT_S,
        what="the requeued job waits",
    )
    # Slurm lets it wait for two minutes, so that the old processes are surely gone.
    run.cluster.command("scontrol", "update", f"JobId={job}", "StartTime=now")


def reach_time_limit(run: PilotedRun) -> None:
    """Shorten a training's limit to what Slurm gives warning of; it looks twice a minute."""
    before = max(iterations_logged(run.copy, POINTREND))
    job = run.job_in_iteration(POINTREND, before + 3)
    is_held = hold_still(run.copy, POINTREND)
    run.cluster.command("scontrol", "update", f"JobId={job}", "TimeLimit=5")
    wait_until(lambda: not is_held(), seconds=WAIT_S, what="Slurm gives warning")


@pytest.mark.timeout(900)
def test_interrupted_trainings_end_with_the_same_weights(
    undisturbed: WorkingCopy, disturbed: WorkingCopy
) -> None:
    for variant in VARIANTS:
        models = [
            (training_folder(copy, variant) / "model.safetensors").read_bytes()
            for copy in (undisturbed, disturbed)
        ]
        assert models[0] == models[1], variant
        assert iterations_logged(disturbed, variant) == list(range(ITERATIONS))


def test_their_report_has_the_same_numbers(
    undisturbed: WorkingCopy, disturbed: WorkingCopy
) -> None:
    table = Path("reports/smoke/tables/table1.csv")
    assert (disturbed.folder / table).read_text() == (undisturbed.folder / table).read_text()


def test_every_interruption_has_happened(disturbed: WorkingCopy) -> None:
    """Or the tests above would show nothing."""
    logs = disturbed.folder / "logs/slurm/rule_train"
    told = {
        variant: [path.read_text() for path in logs.glob(f"*_{variant}_0/*.log")]
        for variant in VARIANTS
    }
    assert len(told[MASK_RCNN]) >= 3  # cancelled; orphaned; the last one
    assert len(told[POINTREND]) >= 2
    assert any("DUE TO JOB REQUEUE" in text for text in told[POINTREND])
    snakemake = (disturbed.folder / "snakemake.log").read_text()
    assert "stopped by SIGUSR1" in snakemake
    assert "Trying to restart job" in snakemake
