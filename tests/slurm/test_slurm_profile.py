"""`--profile slurm` as a clone has it: what is planned, what Slurm is asked for, what is refused.

No Slurm is needed here: in place of `sbatch` stands a script that notes how it is called.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from config_files import CLAIMS, config_file
from working_copy import WorkingCopy, make_copy

VARIANT = "pointrend_x101_fpn_3x"
MODEL = f"results/paper/coco/{VARIANT}/trial0/model.safetensors"
# As `pointrend-repro data` leaves them; what is in them is not read before a training begins.
RECORDS = ["data/.fetched/coco", "data/.fetched/lvis", "data/.fetched/imagenet_x101"]
SLURM = {
    "sbatch": '#!/bin/sh\necho "$*" >>sbatch.txt\necho "no such partition" >&2\nexit 1\n',
    # Those of a Slurm that is installed but not set up would look for it, for long.
    **dict.fromkeys(("sacct", "sacctmgr", "scontrol", "sinfo", "squeue", "sshare"), "#!/bin/sh\n"),
}


@pytest.fixture
def ready_to_train(tmp_path: Path) -> WorkingCopy:
    """A clone of preset paper with all tables, whose data seem to be there."""
    copy = make_copy(tmp_path / "copy")
    for name in ("presets/paper", "tables/table1", CLAIMS):
        shutil.copy(config_file(name), config_file(name, copy.folder / "config"))
    for name in [*RECORDS, "results/paper/coco/dataset"]:
        path = copy.folder / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    (copy.folder / "bin").mkdir()
    for name, script in SLURM.items():
        path = copy.folder / "bin" / name
        path.write_text(script)
        path.chmod(0o755)
    return copy


def submit(copy: WorkingCopy, *config: str) -> tuple[list[str], str]:
    """The options with which the training is submitted, and the command that its job runs."""
    arguments = ["--retries", "0", "--config", "preset=paper", *config, "--", MODEL]
    soon = ["--slurm-init-seconds-before-status-checks", "1"]
    done = copy.snakemake("--profile", "slurm", *soon, *arguments)
    assert "no such partition" in done.stderr, done.stderr
    options = (copy.folder / "sbatch.txt").read_text().split("--wrap")[0]
    commands = re.findall("^Shell command: (.*)$", done.stderr, re.M)
    assert len(commands) == 1, done.stderr
    return options.split(), commands[0]


def test_the_whole_paper_is_planned_offline(ready_to_train: WorkingCopy) -> None:
    jobs = ready_to_train.plan("--profile", "slurm", "--config", "preset=paper")
    assert jobs["train"] > 90


def test_what_is_given_a_gpu_computes_on_it_or_fails(ready_to_train: WorkingCopy) -> None:
    """`auto` would time the CPU of a node whose driver is broken, and predict on it for hours."""
    papers = ("preset=paper", "papers=mask_rcnn,sharpmask")
    done = ready_to_train.snakemake("--profile", "slurm", "--dry-run", "-p", "--config", *papers)
    assert done.returncode == 0, done.stderr
    words = [line.split() for line in re.findall("^Shell command: .*", done.stdout, re.M)]
    made_by = {command: [w for w in words if command in w] for command in ("predict", "cost")}
    timed = [line for line in made_by["cost"] if "--metric" in line and "--device" in line]
    assert len(made_by["predict"]) > 10
    assert len(timed) > 5
    for line in [*made_by["predict"], *timed]:
        assert line[line.index("--device") + 1] == "cuda", line


def test_a_training_asks_for_eight_gpus_of_one_node(ready_to_train: WorkingCopy) -> None:
    options, command = submit(ready_to_train)
    assert {"--nodes=1", "--gres=gpu:8", "--cpus-per-task=64", "--requeue"} <= set(options)
    assert {"--signal=USR1@300", "--open-mode=append"} <= set(options)
    assert options[options.index("--mem") + 1] == "192000"
    assert options[options.index("-t") + 1] == "4680"
    assert not [word for word in options if word.startswith(("--ntasks", "--gpus", "--array"))]
    assert "torchrun --standalone --nproc-per-node 8" in command
    assert "--nodes 1 --ntasks 1" in command
    assert " --threads 4 " in command  # of eight CPUs for each, four load images


def test_one_gpu_takes_eight_times_as_long(ready_to_train: WorkingCopy) -> None:
    options, command = submit(ready_to_train, "gpus=1")
    assert {"--nodes=1", "--gres=gpu:1", "--cpus-per-task=8"} <= set(options)
    assert options[options.index("-t") + 1] == str(8 * 4680)
    assert "torchrun" not in command


def test_two_nodes_have_a_task_each_and_the_sites_names(ready_to_train: WorkingCopy) -> None:
    for key, value in {
        "account": '"0123456"',
        "gpu_partition": "gpu,long",
        "gpu_type": "a100",
        "gpu_constraint": "nvlink",
        "qos": "long",
        "max_runtime_min": "1440",
    }.items():
        ready_to_train.edit("slurm/cluster.yaml", f"  {key}: null", f"  {key}: {value}")
    options, command = submit(ready_to_train, "gpus=4", "nodes=2")
    assert {"--nodes=2", "--ntasks=2", "--gres=gpu:a100:4", "--cpus-per-task=32"} <= set(options)
    assert {"--qos=long"} <= set(options)
    named = {option: options[options.index(option) + 1] for option in ("-A", "-p", "-C", "-t")}
    assert {key: value.strip("'") for key, value in named.items()} == {
        "-A": "0123456",
        "-p": "gpu,long",
        "-C": "nvlink",
        "-t": "1440",
    }
    assert "srun --overlap --nodes 2 --ntasks 2 --ntasks-per-node 1" in command
    assert "torchrun --nnodes 2 --rdzv-backend c10d" in command


def test_more_processes_than_a_batch_has_steps_are_refused_before_the_queue(
    ready_to_train: WorkingCopy,
) -> None:
    options = ("--profile", "slurm", "--config", "preset=paper", "gpus=8", "nodes=2")
    done = ready_to_train.snakemake(*options, "--", MODEL)
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    assert "gpus=8 nodes=2 are 16 processes" in lines[0]
    assert not (ready_to_train.folder / "sbatch.txt").exists()


def test_a_wrong_name_is_refused_in_one_line(ready_to_train: WorkingCopy) -> None:
    ready_to_train.edit("slurm/cluster.yaml", "  account:", "  acount:")
    done = ready_to_train.snakemake("--profile", "slurm", "--dry-run")
    assert "unknown key slurm.acount; did you mean 'account'?" in done.stderr


def test_a_configuration_file_in_place_of_the_profiles_is_refused(
    ready_to_train: WorkingCopy,
) -> None:
    """Or the jobs would have no GPUs, and no warning of their time limit."""
    (ready_to_train.folder / "mine.yaml").write_text("preset: paper\n")
    done = ready_to_train.snakemake("--profile", "slurm", "--configfile", "mine.yaml", "--", MODEL)
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    assert "--configfile slurm/cluster.yaml" in lines[0]
    assert not (ready_to_train.folder / "sbatch.txt").exists()
    soon = ["--retries", "0", "--slurm-init-seconds-before-status-checks", "1"]
    both = ["--configfile", "slurm/cluster.yaml", "mine.yaml"]
    ready_to_train.snakemake("--profile", "slurm", *soon, *both, "--", MODEL)
    assert "--gres=gpu:8" in (ready_to_train.folder / "sbatch.txt").read_text()


def test_a_misspelt_profile_does_not_train_on_the_login_node(
    ready_to_train: WorkingCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does one that was forgotten. Snakemake itself knows of no workflow profile's absence."""
    target = ["--config", "preset=paper", "--", MODEL]
    done = ready_to_train.snakemake("--profile", "slrum", *target)
    assert done.returncode != 0
    assert "profile directory given (slrum)" in done.stderr
    for cores in ([], ["--cores", "2"]):
        done = ready_to_train.snakemake("--workflow-profile", "slrum", *cores, *target)
        assert done.returncode != 0
        line = "error: --workflow-profile slrum: there is neither slrum nor profiles/slrum, "
        assert line in done.stderr
        assert "did you mean 'slurm'?" in done.stderr
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    done = ready_to_train.snakemake("--cores", "2", "--show-failed-logs", *target)
    assert done.returncode != 0
    assert "this preset trains on a GPU and this machine has none" in done.stderr + done.stdout


def test_site_settings_are_no_changes_of_the_code(tmp_path: Path) -> None:
    """Or everybody's results would be marked as made by changed code."""
    from pointrend_repro.base.provenance import git_commit

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=A", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True)

    files = ["slurm/cluster.yaml", "config/resources.yaml", "src/code.py"]
    for name in files:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("as it was\n")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "All")
    clean = git_commit(tmp_path / "src")
    assert clean is not None
    for name in files[:2]:
        (tmp_path / name).write_text("filled in\n")
    assert git_commit(tmp_path / "src") == clean
    (tmp_path / files[2]).write_text("changed\n")
    assert git_commit(tmp_path / "src") == f"{clean}+changes"
