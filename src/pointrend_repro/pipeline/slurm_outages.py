"""Snakemake's executor for Slurm, made to survive outages of slurmctld.

Release 2.8.0 of the plugin loses jobs when Slurm does not answer. At every poll Snakemake passes it
the running jobs, and next time asks only about those that it returned. After a poll without an
answer it returns none, and Snakemake waits forever. It also waits for jobs that Slurm has forgotten
or has preempted without putting them back into the queue. docs/slurm.md lists other failures.
"""

import subprocess
import threading
from collections.abc import AsyncIterator
from typing import Any

from snakemake_executor_plugin_slurm import Executor
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

from pointrend_repro.pipeline.slurm_attempts import Progress, remove_old_outputs

# Often, because after a restart slurmctld soon forgets which jobs had ended before.
ASK_AGAIN_S = 10
# Slurm's commands give up after MessageTimeout, 10 s by default, or report a failure.
_COMMAND_S = 60

# In these the plugin expects that Slurm requeues the job. It then would be PENDING at once.
_FINAL_STATES = {
    "PREEMPTED": "has preempted its job {} and not requeued it",
    "NODE_FAIL": "has lost a node of its job {} and not requeued it",
}


class PatientExecutor(Executor):
    """Keeps jobs whose poll got no answer, and submits none while slurmctld does not answer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._is_leaving = threading.Event()
        self._asked_about: list[Any] = []
        self._settled: list[Any] = []
        self._given_up: set[str] = set()
        self._is_away = False
        self._progress = Progress()
        super().__init__(*args, **kwargs)

    async def check_active_jobs(self, active_jobs: list[Any]) -> AsyncIterator[Any]:
        """Yield the jobs that have not ended, as far as is known."""
        self._asked_about, self._settled = active_jobs, []
        running = [job async for job in super().check_active_jobs(active_jobs)]
        answered = {id(job) for job in [*running, *self._settled]}
        forgotten = [job for job in active_jobs if id(job) not in answered]
        if active_jobs:
            self._note_answer(is_away=bool(forgotten))
        lost = self._lost_among(running)
        for job in [*running, *forgotten]:
            if job.external_jobid in lost:
                self.report_job_error(job, msg=f"Slurm {lost[job.external_jobid]}. ")
            else:
                yield job
        self._asked_about = []

    def report_job_success(self, job_info: Any) -> None:
        """Pass on that a job succeeded, and record it."""
        self._settled.append(job_info)
        super().report_job_success(job_info)

    def report_job_error(self, job_info: Any, msg: Any = None, **kwargs: Any) -> None:
        """Pass on that a job failed, and record it."""
        self._settled.append(job_info)
        super().report_job_error(job_info, msg=msg, **kwargs)

    def handle_job_error(self, job: Any) -> None:
        """Give a training or a prediction that has got on its retry back.

        Snakemake calls this just before it compares the attempts with the retries, and adds one.
        """
        super().handle_job_error(job)
        if self._progress.has_made(job) and job.restart_times > 0:
            self.logger.info(f"Job {job.jobid} has got on: this takes no retry.")
            job.attempt -= 1

    def run_jobs(self, jobs: list[Any]) -> None:
        """Submit jobs. An output that cannot be removed ends the run, as it does without Slurm."""
        self.workflow.async_run(remove_old_outputs(jobs))
        self._progress.begin(jobs)
        super().run_jobs(jobs)

    def run_job(self, job: Any) -> None:
        """Submit a job as soon as slurmctld answers; called in a thread."""
        if _is_controller_away():
            self.logger.warning(f"slurmctld is away: job {job.jobid} is submitted when it is back.")
            while _is_controller_away():
                if self._is_leaving.wait(ASK_AGAIN_S):
                    return
        super().run_job(job)

    def cancel(self) -> None:
        """Cancel all jobs, because Snakemake was interrupted."""
        self._is_leaving.set()
        super().cancel()

    def cancel_jobs(self, active_jobs: list[Any]) -> None:
        """Cancel these jobs, and those that a poll is asking about, waiting up to a minute."""
        super().cancel_jobs([*active_jobs, *self._asked_about])

    def shutdown(self) -> None:
        """Shut down."""
        self._is_leaving.set()
        super().shutdown()

    def _note_answer(self, *, is_away: bool) -> None:
        if is_away:
            self.next_seconds_between_status_checks = ASK_AGAIN_S
        if is_away and not self._is_away:
            self.logger.warning(
                "Slurm does not say how the jobs are. They go on, and Snakemake asks again every "
                f"{ASK_AGAIN_S} s. If `scontrol ping` says UP, see docs/slurm.md, Traps."
            )
        elif self._is_away and not is_away:
            self.logger.warning("Slurm answers again.")
        self._is_away = is_away

    def _lost_among(self, jobs: list[Any]) -> dict[str, str]:
        """Numbers of the jobs that will never end, and why; only at the second poll that says so.

        One poll is not enough: sacct may know of a job's end later than slurmctld forgets the job.
        """
        states = _states(self.run_uuid) if jobs else {}
        if states is None:
            return {}
        numbers = [job.external_jobid for job in jobs]
        ends = {number: _end_of(number, states, self.run_uuid) for number in numbers}
        given_up = {number: end for number, end in ends.items() if end is not None}
        lost = {number: end for number, end in given_up.items() if number in self._given_up}
        self._given_up = set(given_up)
        return lost


def survive_outages() -> None:
    """Make Snakemake use this executor in place of Slurm's."""
    ExecutorPluginRegistry().get_plugin("slurm").executor = PatientExecutor


def _is_controller_away() -> bool:
    """Whether no slurmctld answers, neither the first nor a backup."""
    done = _ask("scontrol", "ping")
    return done is not None and "DOWN" in done.stdout and "UP" not in done.stdout


def _states(run: str) -> dict[str, str] | None:
    """The states of a run's jobs, by their numbers, as slurmctld has them; None without an answer.

    A job that ended more than MinJobAge ago is not among them.
    """
    done = _ask("squeue", "--noheader", "--states=all", "--format=%i|%T", "--name", run)
    if done is None or done.returncode != 0:
        return None
    lines = [line.strip().partition("|") for line in done.stdout.splitlines()]
    return {number: state for number, _, state in lines if state}


def _end_of(number: str, states: dict[str, str], run: str) -> str | None:
    """How a job has ended of which no end was reported; None if it has not."""
    if number in states:
        told = _FINAL_STATES.get(states[number])
        return told.format(number) if told else None
    done = _ask("scontrol", "show", "job", number)
    if done is None:
        return None
    # A slurmctld that has lost its state gives the same numbers to other jobs.
    is_other = "JobName=" in done.stdout and f"JobName={run}" not in done.stdout
    is_unknown = is_other or "Invalid job id" in done.stdout + done.stderr
    return f"no longer knows its job {number}" if is_unknown else None


def _ask(*command: str) -> "subprocess.CompletedProcess[str] | None":
    """Ask slurmctld; None if there is no answer."""
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_COMMAND_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
