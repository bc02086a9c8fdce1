"""What Snakemake's executor does while Slurm does not answer; tests/slurm asks a real one.

Scripts stand in place of Slurm's commands here, and say what Slurm 22.05's say.
"""

import asyncio
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import snakemake_executor_plugin_slurm as plugin
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry
from snakemake_interface_executor_plugins.settings import SharedFSUsage

from pointrend_repro.pipeline import slurm_outages
from pointrend_repro.pipeline.slurm_outages import ASK_AGAIN_S, PatientExecutor, survive_outages

NO_CONTACT = "Unable to contact slurm controller (connect failure)"
UNKNOWN = "slurm_load_jobs error: Invalid job id specified"
UP = "Slurmctld(primary) at vm is UP"
DOWN = "Slurmctld(primary) at vm is DOWN"


@dataclass(frozen=True)
class FakeSlurm:
    """Commands that answer as they are told, and note how they are called."""

    folder: Path

    def install(self) -> None:
        for name in ("scontrol", "squeue", "sacct", "scancel"):
            script = self.folder / name
            script.write_text(
                f'#!/bin/sh\ncd {self.folder}\necho "{name} $*" >>calls\n'
                'for words in "$1 $2 $3" "$1 $2" "$1"; do\n'
                f'    [ ! -e "{name} $words.answer" ] || . "./{name} $words.answer"\ndone\n'
                f". ./{name}.answer\n"
            )
            script.chmod(0o755)

    def answer(self, command: str, text: str, *, code: int = 0) -> None:
        """What a command says; it may be given with its first words, as `scontrol show job`."""
        script = f"cat <<'END'\n{text}\nEND\nexit {code}\n"
        (self.folder / f"{command}.answer").write_text(script)

    def calls(self, command: str) -> list[str]:
        lines = (self.folder / "calls").read_text().splitlines()
        return [line for line in lines if line.startswith(command)]

    def come_up(self) -> None:
        self.answer("scontrol ping", UP)
        self.answer("scontrol show config", "MinJobAge               = 300 sec")
        self.answer("scontrol show job", "JobId=7 JobName=pointrend")
        self.answer("squeue", "7|RUNNING")
        self.answer("sacct", "Slurm accounting storage is disabled", code=1)
        self.answer("scancel", "")

    def go_away(self, *, in_the_middle_of_a_poll: bool = False) -> None:
        self.answer("scontrol ping", DOWN, code=1)
        self.answer("squeue", NO_CONTACT, code=1)
        if not in_the_middle_of_a_poll:
            self.answer("scontrol show config", NO_CONTACT, code=1)
            self.answer("scontrol show job", NO_CONTACT, code=1)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    fake = FakeSlurm(tmp_path)
    fake.install()
    fake.come_up()
    # The tests poll, not a thread of the executor's own.
    monkeypatch.setattr(plugin.Executor, "_wait_thread", lambda _: None)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return fake


class Scheduler:
    """Notes which jobs have ended, and how."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, Any]] = []

    def finish_callback(self, job: Any) -> None:
        self.ended.append(("well", job))

    def error_callback(self, job: Any) -> None:
        self.ended.append(("badly", job))


def make_executor(kind: type[plugin.Executor], folder: Path) -> plugin.Executor:
    """An executor as Snakemake makes it."""
    workflow = SimpleNamespace(
        dag=None,
        main_snakefile="Snakefile",
        workdir_init=folder,
        scheduler=Scheduler(),
        executor_plugin=SimpleNamespace(common_settings=plugin.common_settings),
        executor_settings=plugin.ExecutorSettings(
            status_command="squeue",
            status_attempts=2,
            init_seconds_before_status_checks=1,
            requeue=True,
        ),
        remote_execution_settings=SimpleNamespace(
            max_status_checks_per_second=100,
            jobname="{jobid}",
            jobscript=None,
            seconds_between_status_checks=1,
            immediate_submit=True,
        ),
        storage_settings=SimpleNamespace(shared_fs_usage=SharedFSUsage.all()),
    )
    return kind(workflow, logging.getLogger("snakemake"))


@pytest.fixture
def executor(slurm: FakeSlurm, tmp_path: Path) -> PatientExecutor:
    return make_executor(PatientExecutor, tmp_path)


def job(number: str = "7") -> SubmittedJobInfo:
    told = SimpleNamespace(jobid=1, log_error=lambda *_args, **_kwargs: None)
    return SubmittedJobInfo(told, external_jobid=number, aux={"slurm_logfile": Path("7.log")})


def poll(executor: plugin.Executor, *jobs: SubmittedJobInfo) -> list[SubmittedJobInfo]:
    """The jobs that still run, as Snakemake understands it."""

    async def kept() -> list[SubmittedJobInfo]:
        return [kept async for kept in executor.check_active_jobs(list(jobs))]

    return asyncio.run(kept())


def test_the_plugin_alone_still_forgets_jobs(slurm: FakeSlurm, tmp_path: Path) -> None:
    """Once this fails, slurm_outages.py has less to do."""
    slurm.go_away()
    assert poll(make_executor(plugin.Executor, tmp_path), job()) == []


@pytest.mark.parametrize("in_the_middle_of_a_poll", [False, True])
def test_a_job_is_kept_until_slurm_answers(
    slurm: FakeSlurm,
    executor: PatientExecutor,
    caplog: pytest.LogCaptureFixture,
    in_the_middle_of_a_poll: bool,
) -> None:
    training = job()
    slurm.go_away(in_the_middle_of_a_poll=in_the_middle_of_a_poll)
    for _ in range(2):
        assert poll(executor, training) == [training]
        assert executor.next_seconds_between_status_checks == ASK_AGAIN_S
    assert caplog.text.count("Slurm does not say how the jobs are") == 1
    slurm.come_up()
    assert poll(executor, training) == [training]
    assert "Slurm answers again" in caplog.text
    slurm.answer("squeue", "7|COMPLETED")
    assert poll(executor, training) == []
    assert executor.workflow.scheduler.ended == [("well", training.job)]


def test_a_job_that_slurm_has_lost_is_given_up(slurm: FakeSlurm, executor: PatientExecutor) -> None:
    known, lost = job("7"), job("8")
    slurm.answer("scontrol show job 8", UNKNOWN, code=1)
    assert poll(executor, known, lost) == [known, lost]
    assert poll(executor, known, lost) == [known]
    assert executor.workflow.scheduler.ended == [("badly", lost.job)]


@pytest.mark.parametrize("earlier_polls", [0, 3])
@pytest.mark.parametrize("told", [UNKNOWN, "JobId=7 JobName=somebody_elses"])
def test_a_job_that_slurm_forgets_between_two_polls_is_given_up(
    slurm: FakeSlurm, executor: PatientExecutor, earlier_polls: int, told: str
) -> None:
    training = job()
    for _ in range(earlier_polls):
        assert poll(executor, training) == [training]
    slurm.answer("squeue", "")
    slurm.answer("scontrol show job", told, code=int(told == UNKNOWN))
    assert poll(executor, training) == [training]
    assert poll(executor, training) == []
    assert executor.workflow.scheduler.ended == [("badly", training.job)]


@pytest.mark.parametrize("state", ["PREEMPTED", "NODE_FAIL"])
@pytest.mark.parametrize("is_forgotten", [False, True])
def test_a_job_that_slurm_does_not_requeue_is_given_up(
    slurm: FakeSlurm, tmp_path: Path, state: str, is_forgotten: bool
) -> None:
    executor = make_executor(PatientExecutor, tmp_path)
    training = job()
    slurm.answer("squeue", f"7|{state}")
    assert poll(executor, training) == [training]
    if is_forgotten:
        slurm.answer("squeue", "")
        slurm.answer("scontrol show job", UNKNOWN, code=1)
    assert poll(executor, training) == []
    assert executor.workflow.scheduler.ended == [("badly", training.job)]


def test_a_job_that_slurm_requeues_is_kept(slurm: FakeSlurm, executor: PatientExecutor) -> None:
    training = job()
    for state in ("PREEMPTED", "PENDING", "RUNNING", "PREEMPTED", "COMPLETING", "PENDING"):
        slurm.answer("squeue", f"7|{state}")
        assert poll(executor, training) == [training]
    assert not executor.workflow.scheduler.ended


def test_no_answer_about_a_job_is_no_end_of_it(slurm: FakeSlurm, executor: PatientExecutor) -> None:
    training = job()
    slurm.answer("squeue", "")
    for text, code in ((NO_CONTACT, 1), (f"JobId=7 JobName={executor.run_uuid}", 0)):
        slurm.answer("scontrol show job", text, code=code)
        for _ in range(3):
            assert poll(executor, training) == [training]


def test_where_sacct_answers_an_absent_controller_is_not_asked(
    slurm: FakeSlurm, executor: PatientExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    training = job()
    slurm.go_away()
    slurm.answer("sacct", "7|RUNNING")
    assert poll(executor, training) == [training]
    assert not slurm.calls("scontrol show job")
    assert "Slurm does not say" not in caplog.text


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the plugin is given to submit."""
    jobs: list[Any] = []
    monkeypatch.setattr(plugin.Executor, "run_job", lambda _, job: jobs.append(job))
    return jobs


def test_jobs_are_submitted_when_slurm_is_back(
    slurm: FakeSlurm,
    executor: PatientExecutor,
    submitted: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def come_back(seconds: float) -> bool:
        assert seconds == ASK_AGAIN_S
        assert not submitted
        slurm.come_up()
        return False

    slurm.go_away()
    monkeypatch.setattr(executor, "_is_leaving", SimpleNamespace(wait=come_back))
    executor.run_job(job().job)
    assert len(submitted) == 1


@pytest.mark.parametrize("says", [UP, f"{DOWN}\nSlurmctld(backup) at vm2 is UP", ""])
def test_jobs_are_submitted_at_once_if_anybody_listens(
    slurm: FakeSlurm, executor: PatientExecutor, submitted: list[Any], says: str
) -> None:
    slurm.answer("scontrol ping", says)
    executor.run_job(job().job)
    assert len(submitted) == 1


def test_nothing_is_submitted_after_ctrl_c(
    slurm: FakeSlurm, executor: PatientExecutor, submitted: list[Any]
) -> None:
    slurm.go_away()
    executor.cancel()
    executor.run_job(job().job)
    assert not submitted


def test_ctrl_c_during_a_poll_cancels_its_jobs(
    slurm: FakeSlurm, executor: PatientExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(_: plugin.Executor, jobs: list[Any]) -> Iterator[Any]:
        executor.cancel_jobs([job("5")])
        for known in jobs:
            yield known

    monkeypatch.setattr(plugin.Executor, "check_active_jobs", interrupted)
    poll(executor, job("7"))
    assert slurm.calls("scancel") == ["scancel 5 7"]
    executor.cancel_jobs([])
    assert len(slurm.calls("scancel")) == 1


def test_snakemake_takes_this_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ExecutorPluginRegistry().get_plugin("slurm")
    monkeypatch.setattr(found, "executor", plugin.Executor)
    survive_outages()
    assert found.executor is slurm_outages.PatientExecutor
