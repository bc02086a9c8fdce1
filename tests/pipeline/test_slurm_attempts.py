"""Jobs that Slurm refuses, cancels or stops, in a small workflow; scripts stand for Slurm."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import Mock

import pytest

from pointrend_repro.pipeline.slurm_attempts import Progress

SNAKEFILE = """\
import asyncio

from pointrend_repro.pipeline.slurm_outages import PatientExecutor, survive_outages

survive_outages()


async def sleep_shortly(executor):
    await asyncio.sleep(0.2)


PatientExecutor.sleep = sleep_shortly


rule all:
    default_target: True
    localrule: True
    input:
        "out/model",
        "out/folder",


rule train:
    output:
        model="out/model",
        folder=directory("out/folder"),
    log:
        "out/train.log",
    params:
        value=config["value"],
    shell:
        "echo {params.value} | tee {output.model} >{log}; mkdir {output.folder};"
        " touch {output.folder}/{params.value} out/checkpoint"
"""
SBATCH = {
    "refused": "echo 'no such partition' >&2; exit 1",
    "cancelled before it began": "echo 7",
}
# Reaches its time limit three times, having saved as told, and ends well in its fourth job.
TRAINING = """\
job=$(($(cat jobs 2>/dev/null) + 1))
echo $job | tee jobs
mkdir -p out/checkpoints out/detectron2/1234abcd
[ $job -lt 4 ] || mkdir out/folder
[ $job -lt 4 ] || echo $job >out/model
"""
STATE = """\
job=$(cat jobs)
[ $job -lt 4 ] && echo "$job|TIMEOUT" || echo "$job|COMPLETED"
"""
BY_SLURM = ["--executor", "slurm", "--jobs", "2", "--slurm-status-command", "squeue"]
BY_SLURM += ["--keep-incomplete"]


@dataclass(frozen=True)
class SmallWorkflow:
    """A workflow of one job, and a Slurm that is a folder of scripts."""

    folder: Path

    def stub(self, name: str, script: str) -> None:
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=self.folder,
            env=os.environ | {"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )

    def is_done(self, value: str) -> bool:
        """Whether Snakemake thinks that all is made with this value."""
        done = self.snakemake("--dry-run", "--cores", "1", "--config", f"value={value}")
        assert done.returncode == 0, done.stderr
        return "Nothing to be done" in done.stdout + done.stderr


@pytest.fixture
def workflow(tmp_path: Path) -> SmallWorkflow:
    made = SmallWorkflow(tmp_path)
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    for name in ("sacct", "sacctmgr", "sinfo", "sshare", "scancel"):
        made.stub(name, "")
    made.stub("scontrol", "echo MinJobAge = 300 sec")
    made.stub("squeue", "echo '7|CANCELLED'")
    return made


@pytest.mark.parametrize("end", SBATCH)
def test_results_of_old_settings_do_not_count_as_those_of_a_job_that_never_began(
    workflow: SmallWorkflow, end: str
) -> None:
    first = workflow.snakemake("--cores", "1", "--config", "value=old")
    assert first.returncode == 0, first.stderr
    assert workflow.is_done("old")
    workflow.stub("sbatch", SBATCH[end])
    second = workflow.snakemake(*BY_SLURM, "--config", "value=new")
    assert second.returncode != 0
    assert "no such partition" in second.stderr or "CANCELLED" in second.stderr
    assert not workflow.is_done("new")
    out = workflow.folder / "out"
    # What an interrupted training goes on from stays, and so does what the last one said.
    assert (out / "checkpoint").exists()
    assert (out / "train.log").read_text() == "old\n"
    third = workflow.snakemake("--cores", "1", "--config", "value=new")
    assert third.returncode == 0, third.stderr
    assert (out / "model").read_text() == "new\n"
    assert [path.name for path in (out / "folder").glob("[!.]*")] == ["new"]


@pytest.mark.parametrize(
    ("saves", "retries", "jobs"),
    [
        ("checkpoints/iter_0000000$job.pt", 1, 4),
        ("detectron2/1234abcd/model_000000$job.pth", 1, 4),
        ("checkpoints/iter_00000001.pt", 1, 3),  # the first alone gets on
        ("checkpoints/nothing", 1, 2),
        ("checkpoints/iter_0000000$job.pt", 0, 1),
        # Parts of a prediction: folders, or files, for each model of an ensemble.
        ("labels.parts-1234/0000000$job/a.png", 1, 4),
        ("predictions.parts-1234/1/0000000$job.json", 1, 4),
        ("predictions.parts-1234/00000000.json", 1, 3),  # the first alone gets on
        ("predictions.parts-1234/.0000000$job.json.12ab.part", 1, 2),  # half-written
    ],
)
def test_an_attempt_of_a_job_that_gets_on_takes_no_retry(
    workflow: SmallWorkflow, saves: str, retries: int, jobs: int
) -> None:
    workflow.stub("sbatch", TRAINING + f'mkdir -p "out/{Path(saves).parent}"; touch "out/{saves}"')
    workflow.stub("squeue", STATE)
    tried = ["--retries", str(retries), "--config", "value=1"]
    done = workflow.snakemake(*BY_SLURM, *tried)
    assert (workflow.folder / "jobs").read_text() == f"{jobs}\n", done.stderr
    assert (done.returncode == 0) == (jobs == 4), done.stderr


def test_a_prediction_that_begins_anew_on_another_gpu_gets_on_by_more_parts_alone(
    tmp_path: Path,
) -> None:
    """Or one that fails at the same image on both would be submitted for ever."""
    job, progress = Mock(output=[tmp_path / "predictions.json"]), Progress()
    got_on = []
    for device, parts in [("a", 2), ("b", 2), ("a", 2), ("b", 1), ("b", 2), ("a", 3)]:
        progress.begin([job])
        for folder in tmp_path.glob("predictions.parts-*"):
            if not folder.name.endswith(device):
                shutil.rmtree(folder)
        for number in range(parts):
            part = tmp_path / f"predictions.parts-{device}/0/{16 * number:08d}.json"
            part.parent.mkdir(parents=True, exist_ok=True)
            part.touch()
        got_on.append(progress.has_made(job))
    assert got_on == [True, False, False, False, True, True]


def test_what_only_pretends_to_run_removes_nothing(workflow: SmallWorkflow) -> None:
    workflow.snakemake("--cores", "1", "--config", "value=old")
    for pretended in ("--dry-run", "--touch"):
        done = workflow.snakemake(*BY_SLURM, pretended, "--config", "value=new")
        assert done.returncode == 0, done.stderr
        assert (workflow.folder / "out/model").read_text() == "old\n"
        assert (workflow.folder / "out/folder/old").exists()
