"""The pipeline as Snakemake plans it: dry runs, and runs of a stub in place of the commands."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.paths import UserData, paths_of_all
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.pipeline.workflow import read_workflow_config
from working_copy import REPOSITORY, WorkingCopy, make_copy

# Writes every declared output of the command that it is called in place of.
STUB = """#!/bin/sh
set -e
command=$1
[ "$command" = data ] && command=$2
while [ $# -gt 0 ]; do
    case $1 in
        --output) output=$2 ;;
        --dataset) dataset=$2 ;;
        --preset) preset=$2 ;;
        *=*) metrics="$metrics ${1%%=*}" ;;
    esac
    shift
done
case $command in
    generate) mkdir -p "data/$dataset"; date >"data/$dataset/made" ;;
    check)
        if [ -e check.fails ]; then echo "pointrend-repro: error: not these data" >&2; exit 2; fi
        date >"$output" ;;
    cost) date >"$output" ;;
    evaluate-all)
        for metric in $metrics; do
            if [ -e "$metric.fails" ]; then status=2; else date +%N >"$output/$metric.json"; fi
        done
        exit ${status:-0} ;;
    train | predict) date >"$output"; date >"${output%.*}.origin.json" ;;
    collect) for name in metrics origins; do date >"results/$preset/$name.csv"; done ;;
    claims) mkdir -p "results/$preset/claims"; date >"results/$preset/claims/made.json" ;;
    report)
        mkdir -p "reports/$preset/tables"
        for kind in csv md tex; do date >"reports/$preset/tables/table1.$kind"; done
        date >"reports/$preset/summary.json"
        date >"reports/$preset/index.html" ;;
    *) echo "the stub knows no $command" >&2; exit 1 ;;
esac
"""

RULE = "lowercase letters, digits and underscores make a name (100 at most)"
EVALUATE = "evaluate_coco_ap_lvis_ap_star"

TABLE_1_OF_SMOKE = {
    "generate_data": 1,
    "check_data": 1,
    "train": 4,  # 2 variants x 2 trials
    "predict": 6,  # 3 rows x 2 trials
    EVALUATE: 6,  # AP and AP*
    "collect": 1,
    "judge_claims": 1,
    "report": 1,
    "all": 1,
}


@pytest.fixture
def copy(tmp_path: Path) -> WorkingCopy:
    return make_copy(tmp_path / "copy")


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> WorkingCopy:
    """A copy in which a stub has made all results of preset smoke."""
    copy = make_copy(tmp_path_factory.mktemp("finished") / "copy")
    stub = copy.folder / "bin" / "pointrend-repro"
    stub.parent.mkdir()
    stub.write_text(STUB)
    stub.chmod(0o755)
    done = copy.snakemake("--cores", "1", "--quiet", "all")
    assert done.returncode == 0, done.stderr
    return copy


@pytest.fixture
def finished(finished_once: WorkingCopy, tmp_path: Path) -> WorkingCopy:
    shutil.copytree(finished_once.folder, tmp_path / "copy")
    return WorkingCopy(tmp_path / "copy")


def test_plan_of_the_papers_table_1(copy: WorkingCopy) -> None:
    """Without data and without a network; every training is named."""
    done = copy.snakemake("--dry-run", "--config", "preset=paper")
    jobs = copy.planned(done)
    assert {rule: jobs[rule] for rule in ("train", "predict", EVALUATE)} == {
        "train": 6,
        "predict": 9,
        EVALUATE: 9,
    }
    assert "generate_data" not in jobs
    commands = re.findall(r"pointrend-repro train .*--variant (\w+) --trial (\d)", done.stdout)
    assert sorted(commands) == [
        (variant, str(trial))
        for variant in ("mask_rcnn_r50_fpn", "pointrend_r50_fpn")
        for trial in range(3)
    ]


def test_plan_of_smoke_draws_its_data_first(copy: WorkingCopy) -> None:
    assert copy.plan() == TABLE_1_OF_SMOKE


def test_smoke_as_it_is_shipped_has_a_plan() -> None:
    """With all its tables; that of `paper` is compared in planning/test_plan.py."""
    arguments = ("--dry-run", "--nolock", "--config", "preset=smoke")
    done = WorkingCopy(REPOSITORY).snakemake(*arguments)
    assert done.returncode == 0, done.stderr


def refusal(do: Callable[[], object]) -> str:
    """The one line in which something is refused."""
    with pytest.raises(UserError) as told:
        do()
    assert "\n" not in str(told.value)
    return str(told.value)


def test_snakemake_refuses_in_one_line(copy: WorkingCopy) -> None:
    """Beside its own lines about profiles and config; the other refusals are asked for directly."""
    done = copy.snakemake("--dry-run", "--config", "prest=paper")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: config/config.yaml or snakemake --config: unknown key prest")
    assert "did you mean 'preset'?" in line


def test_wrong_keys_are_refused_in_one_line(copy: WorkingCopy) -> None:
    line = refusal(lambda: load_grid("papre", copy.folder / "config"))
    assert line.startswith("there is no preset 'papre' in ")
    assert line.endswith("config/presets; did you mean 'paper'?")
    line = refusal(lambda: read_workflow_config({"preset": "paper", "device": "gpu"}))
    assert line.startswith("config/config.yaml or snakemake --config: device")


def test_wrong_files_are_refused_in_one_line(copy: WorkingCopy) -> None:
    copy.edit("config/presets/smoke.yaml", "base_lr", "base_rl")
    line = refusal(lambda: load_grid("smoke", copy.folder / "config"))
    assert "presets/smoke.yaml" in line
    assert "unknown key optimizer.base_rl; did you mean 'base_lr'?" in line


def test_tiny_says_what_to_type(copy: WorkingCopy) -> None:
    datasets = load_grid("tiny", copy.folder / "config").datasets
    line = refusal(lambda: paths_of_all(datasets, {"coco": UserData()}, {}))
    assert "snakemake --config preset=tiny data_root=FOLDER" in line
    (copy.folder / "somewhere else").mkdir()
    (copy.folder / "lvis.json").touch()
    jobs = copy.plan("--config", "preset=tiny", "data_root=somewhere else")
    assert (jobs["train"], jobs["predict"], jobs["evaluate_coco_ap"]) == (2, 3, 3)
    lvis = ["data_root=somewhere else", "lvis_annotations=lvis.json"]
    assert copy.plan("--config", "preset=tiny", *lvis)[EVALUATE] == 3


def test_paths_of_any_characters_reach_the_commands_as_they_are(copy: WorkingCopy) -> None:
    root, lvis = """-my $(touch PWNED);'q" {wildcards} {x} é""", "my `touch PWNED`|lvis.json"
    (copy.folder / root).mkdir()
    (copy.folder / lvis).touch()
    arguments = ["preset=tiny", f"data_root={root}", f"lvis_annotations={lvis}"]
    done = copy.snakemake("--dry-run", "--config", *arguments)
    lines = re.findall(
        "^ *(?:Shell command: *)?(pointrend-repro .*)$", done.stdout + done.stderr, re.M
    )
    commands = [shlex.split(line) for line in lines]
    for command, count in {"train": 2, "predict": 3, "check": 2, "evaluate-all": 3}.items():
        found = [words for words in commands if command in words[:3]]
        assert len(found) == count
        for words in found:
            assert words[-2].startswith(">results/"), "nothing else is redirected"
            if command == "evaluate-all":
                ground_truth = f"{root}/annotations/instances_val2017.json"
                assert words[2:4] == [f"coco_ap={ground_truth}", f"lvis_ap_star={lvis}"]
            else:
                assert f"--data-root={root}" in words
            if command == "check":
                assert f"--lvis-annotations={lvis}" in words


def test_names_that_a_shell_or_a_path_would_read_are_refused() -> None:
    evil = "x;touch PWNED;"
    line = refusal(lambda: read_workflow_config({"preset": evil}))
    assert line.endswith(f"preset: {evil!r}: {RULE}")


def test_reading_the_snakefile_imports_no_torch() -> None:
    sources = [path.read_text() for path in (REPOSITORY / "workflow/rules").glob("common*.smk")]
    imports = re.findall(r"^(?:from|import) [^(\n]+(?:\([^)]+\))?$", "\n".join(sources), re.M)
    assert len(imports) > 40
    code = "\n".join([*imports, "load_grid('paper')", "assert 'torch' not in sys.modules"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_snakefile_is_formatted_and_lints_clean(copy: WorkingCopy) -> None:
    command = [sys.executable, "-m", "snakefmt", "--check", "Snakefile", "workflow"]
    done = subprocess.run(command, cwd=copy.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    done = copy.snakemake("--lint")
    assert done.returncode == 0, done.stdout + done.stderr


TRAIN_AGAIN = {key: count for key, count in TABLE_1_OF_SMOKE.items() if not key.endswith("_data")}
NO_MATTER: dict[str, tuple[str, str, str]] = {
    "a comment in a preset": ("config/presets/smoke.yaml", "tables:", "# A comment\ntables:"),
    "a comment in a variant": (
        "config/papers/pointrend/models/pointrend_r50_fpn.yaml",
        "model:",
        "# A comment\nmodel:",
    ),
    "a comment in a rule": ("workflow/rules/train.smk", "rule train:", "# A comment\nrule train:"),
    "how often a training logs": ("config/presets/smoke.yaml", "log_every_iters: 2", ""),
    "loader workers": ("config/presets/smoke.yaml", "loader_workers: 0", "loader_workers: 1"),
    "a title of a variant": (
        "config/papers/pointrend/models/pointrend_r50_fpn.yaml",
        "title: ",
        "title: A ",
    ),
    "another preset": ("config/presets/paper.yaml", "title: ", "title: A "),
}


TRAINED = [(v, t) for v in ("mask_rcnn_r50_fpn", "pointrend_r50_fpn") for t in (0, 1)]


def test_what_does_not_matter_runs_nothing(finished: WorkingCopy) -> None:
    for file, old, new in NO_MATTER.values():
        finished.edit(file, old, new)
    done = finished.snakemake("--dry-run", "--config", "device=cpu")
    assert "Nothing to be done" in done.stdout + done.stderr, done.stdout


CONDA = """#!/bin/sh
case "$*" in
    "info --json") echo '{"conda_prefix": "'"$PWD"'", "platform": "linux-64"}' ;;
    "--version") echo "conda 26.3.0" ;;
    "config --get"*) echo '{"get": {"channel_priority": "strict"}}' ;;
    *) echo "conda $*: not expected" >&2; exit 1 ;;
esac
"""


def test_another_environment_runs_nothing(finished: WorkingCopy) -> None:
    """After a run with `.venv`, one with conda; the records say which versions made a number."""
    conda = finished.folder / "bin/conda"
    conda.write_text(CONDA)
    conda.chmod(0o755)
    for arguments in ([], ["--workflow-profile", "slurm"]):
        assert finished.plan("--sdm", "conda", *arguments) == {}, arguments


def test_more_gpus_and_slurm_train_nothing_again(finished: WorkingCopy) -> None:
    finished.edit("config/resources.yaml", "memory_mb: 8000", "memory_mb: 9000")
    for arguments in (["--config", "device=cuda", "gpus=8"], ["--profile", "slurm"]):
        assert finished.plan(*arguments) == {}, arguments


def test_with_unpacked_metric_files_only_what_has_none_is_trained(finished: WorkingCopy) -> None:
    """As docs/claims.md says of the archive of another machine's run."""
    results = finished.folder / "results/smoke"
    kept = ["dataset.json", "coco_ap.json", "lvis_ap_star.json"]
    for path in [path for path in results.rglob("*") if path.is_file() and path.name not in kept]:
        path.unlink()
    for path in results.rglob("mask_rcnn_r50_fpn/**/*.json"):
        path.unlink()
    shutil.rmtree(finished.folder / ".snakemake")
    jobs = finished.plan("judge_claims")
    rest = {"train": 2, "predict": 2, EVALUATE: 2, "collect": 1, "judge_claims": 1}
    assert jobs == rest


def test_a_page_of_an_unfinished_run_made_by_hand_ends_no_run(copy: WorkingCopy) -> None:
    """As docs/report.md says; what is missing is made by the next run, and by that of one rule."""
    options = ["--preset", "smoke", "--config-dir", "config"]
    (copy.folder / "results/smoke").mkdir(parents=True)  # as the first rule of a run makes it
    for command in ("collect", "claims", "report"):
        done = copy.command("pointrend-repro", command, *options)
        assert done.returncode == 0, done.stderr
    assert (copy.folder / "reports/smoke/index.html").is_file()
    assert copy.plan() == TABLE_1_OF_SMOKE
    assert copy.plan("judge_claims")["train"] == TABLE_1_OF_SMOKE["train"]


def test_collected_by_hand_after_a_run_nothing_is_trained_again(finished: WorkingCopy) -> None:
    mark = finished.folder / "results/smoke/collected.flag"
    assert mark.is_file()
    mark.unlink()
    assert finished.plan() == dict.fromkeys(("collect", "judge_claims", "report", "all"), 1)


def test_results_that_are_removed_are_made_again(finished: WorkingCopy) -> None:
    """As the page and docs/your_head.md say; a model alone may go, to save space."""
    trained = finished.folder / "results/smoke/generated_coco/mask_rcnn_r50_fpn/trial0"
    (trained / "model.safetensors").unlink()
    assert finished.plan() == {}
    rest = dict.fromkeys(("collect", "judge_claims", "report", "all"), 1)
    scored = next(trained.rglob("lvis_ap_star.json"))
    scored.unlink()
    assert finished.plan() == {EVALUATE: 1} | rest
    shutil.rmtree(trained)
    jobs = finished.plan()
    assert jobs["train"] == 1
    assert jobs.items() >= rest.items()


def test_a_setting_that_matters_trains_again(finished: WorkingCopy) -> None:
    finished.edit("config/presets/smoke.yaml", "base_lr: 0.01", "base_lr: 0.02")
    assert finished.plan() == TRAIN_AGAIN


def test_settings_that_snakemake_has_no_notes_of_are_told(finished: WorkingCopy) -> None:
    """As of results that were copied without `.snakemake`, which are kept."""
    folder = finished.folder / "results/smoke/generated_coco/pointrend_r50_fpn/trial1"
    origin, changed = folder / "model.origin.json", ["--config", "set=optimizer.base_lr=0.02"]
    made_s = origin.stat().st_mtime
    record = {"settings": {}, "settings_digest": "0"}
    origin.write_text(json.dumps({"train": record}))
    os.utime(origin, (made_s, made_s))
    done = finished.snakemake("--dry-run", *changed)
    assert "other settings" not in done.stderr, "Snakemake itself says so"
    shutil.rmtree(finished.folder / ".snakemake")
    done = finished.snakemake("--dry-run", *changed)
    assert "Nothing to be done" in done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "other settings" in line]
    assert line.startswith("warning: 1 of 10 models and predictions in results/smoke ")
    assert "trial1/model.safetensors" in line


def test_a_head_trains_its_own_variant_again(finished: WorkingCopy) -> None:
    finished.edit("config/scales/narrow.yaml", "point_channels: 32", "point_channels: 16")
    jobs = finished.plan()
    assert (jobs["train"], jobs["predict"], jobs[EVALUATE]) == (2, 4, 4)


def test_a_way_to_predict_predicts_again(finished: WorkingCopy) -> None:
    name = "config/papers/pointrend/models/pointrend_r50_fpn.yaml"
    path = finished.folder / name
    content = yaml.safe_load(path.read_text())
    content["inference"]["res28"]["points_per_step"] = 100
    path.write_text(yaml.safe_dump(content))
    jobs = finished.plan()
    assert "train" not in jobs
    assert (jobs["predict"], jobs[EVALUATE]) == (2, 2)


def test_a_number_of_the_table_renders_again(finished: WorkingCopy) -> None:
    finished.edit("config/papers/pointrend/tables/table1.yaml", "tolerance: 0.2", "tolerance: 0.3")
    assert finished.plan() == {"judge_claims": 1, "report": 1, "all": 1}


def test_other_scenes_make_everything_again(finished: WorkingCopy) -> None:
    finished.edit("config/datasets/generated_coco.yaml", "seed: 0", "seed: 1")
    assert finished.plan() == TABLE_1_OF_SMOKE


def test_lvis_annotations_of_ones_own_score_again_but_train_nothing(finished: WorkingCopy) -> None:
    (finished.folder / "mine.json").touch()
    jobs = finished.plan("--config", "lvis_annotations=mine.json")
    assert jobs == {EVALUATE: 6, "collect": 1, "judge_claims": 1, "report": 1, "all": 1}


def test_a_metric_that_fails_leaves_the_others(finished: WorkingCopy) -> None:
    folder = "results/smoke/generated_coco/pointrend_r50_fpn/trial0/res28"
    ap, ap_star = (finished.folder / folder / f"{m}.json" for m in ("coco_ap", "lvis_ap_star"))
    ap_star.unlink()
    (finished.folder / "lvis_ap_star.fails").touch()
    before = ap.read_text()
    target = ("--cores", "1", "--", f"{folder}/lvis_ap_star.json")
    assert finished.snakemake(*target).returncode == 1
    assert ap.read_text() != before, "all metrics of a prediction run together"
    (finished.folder / "lvis_ap_star.fails").unlink()
    done = finished.snakemake(*target)
    assert done.returncode == 0, done.stderr
    assert ap_star.exists()


def test_another_folder_of_data_trains_again(finished: WorkingCopy) -> None:
    for name in ("folder", "another"):
        (finished.folder / name).mkdir()
    first, second = "data_root=folder", "data_root=another"
    done = finished.snakemake("--cores", "1", "--config", "preset=tiny", first)
    assert done.returncode == 0, done.stderr
    assert finished.plan("--config", "preset=tiny", first) == {}
    jobs = finished.plan("--config", "preset=tiny", second)
    assert (jobs["check_data"], jobs["train"], jobs["predict"]) == (1, 2, 3)
    assert "trained anew by this run" not in done.stderr
    done = finished.snakemake("--cores", "1", "--config", "preset=tiny", second)
    (line,) = [line for line in done.stderr.splitlines() if "trained anew by this run" in line]
    assert line.startswith("warning: results/tiny/coco_folder/mask_rcnn_r50_fpn/trial0/model.saf")
    assert " and 1 more: finished, and trained anew by this run (" in line
    assert "results/tiny/coco_folder/dataset.json" in line  # Snakemake's reason


def test_a_check_of_the_wrong_folder_costs_nothing(finished: WorkingCopy) -> None:
    """Else Snakemake deletes the old record first, and then trains all models anew."""
    (finished.folder / "folder").mkdir()
    (finished.folder / "wrong").mkdir()
    right, wrong = ("--config", "preset=tiny", "data_root=folder"), "data_root=wrong"
    done = finished.snakemake("--cores", "1", *right)
    assert done.returncode == 0, done.stderr
    record = finished.folder / "results/tiny/coco_folder/dataset.json"
    before = record.read_text()
    (finished.folder / "check.fails").touch()
    done = finished.snakemake("--cores", "1", "--config", "preset=tiny", wrong)
    assert done.returncode != 0
    assert "error: not these data; nothing was started" in done.stdout + done.stderr
    (finished.folder / "check.fails").unlink()
    assert record.read_text() == before
    assert finished.plan(*right) == {}


@pytest.mark.parametrize("key", ["data_root", "cityscapes_root", "lvis_annotations"])
def test_a_misspelt_folder_or_file_is_refused_before_any_job(
    finished: WorkingCopy, key: str
) -> None:
    done = finished.snakemake("--cores", "1", "--config", f"{key}=/nosuch")
    assert done.returncode != 0
    assert f"{key}: /nosuch: no such f" in done.stdout + done.stderr
    assert finished.plan() == {}


def test_checkpoints_survive_a_training_that_runs_again(finished: WorkingCopy) -> None:
    """Snakemake deletes declared outputs before a job; a cut training needs its checkpoints."""
    folder = finished.folder / "results/smoke/generated_coco/pointrend_r50_fpn/trial0"
    checkpoint = folder / "checkpoints" / "iter_00000060.pt"
    checkpoint.parent.mkdir()
    checkpoint.write_text("a state")
    target = str((folder / "model.safetensors").relative_to(finished.folder))
    done = finished.snakemake("--cores", "1", "--forcerun", "train", "--", target)
    assert done.returncode == 0, done.stderr
    assert "Training pointrend_r50_fpn" in done.stderr
    assert checkpoint.read_text() == "a state"


def test_snakemakes_own_report_has_labels_and_the_settings_in_force(finished: WorkingCopy) -> None:
    done = finished.snakemake("--cores", "1", "--report", "report.html")
    assert done.returncode == 0, done.stderr
    text = (finished.folder / "report.html").read_text(encoding="utf-8")
    labels = {
        "table": "Table 1",
        "method": "PointRend, 224x224",
        "metric": "COCO AP*",
        "trial": "1",
    }
    for label, value in labels.items():
        assert re.search(rf'"{label}": *"{re.escape(value)}"', text), label
    assert "model.mask_head.coarse_channels 64 (default 1024)" in text
    assert "Preset smoke: these numbers mean nothing." in text


@pytest.mark.parametrize(("options", "most"), [([], 1), (["--resources", "gpu_jobs=2"], 2)])
def test_without_slurm_one_job_on_gpus_runs_at_a_time(
    copy: WorkingCopy, options: list[str], most: int
) -> None:
    """They all would take the first GPU. The stub notes how many trainings it sees."""
    stub = copy.folder / "bin/pointrend-repro"
    stub.parent.mkdir(exist_ok=True)
    seen = """case $1 in train)
    mkdir -p running
    touch running/$$
    sleep 0.5
    ls running | wc -l >>seen
    rm running/$$ ;;
esac
"""
    stub.write_text(STUB.replace("set -e\n", "set -e\n" + seen, 1))
    stub.chmod(0o755)
    targets = [f"results/smoke/generated_coco/{v}/trial{t}/model.safetensors" for v, t in TRAINED]
    done = copy.snakemake("--cores", "64", "--config", "device=cuda", *options, "--", *targets)
    assert done.returncode == 0, done.stderr
    counts = (copy.folder / "seen").read_text().split()
    assert len(counts) == len(targets)
    assert max(map(int, counts)) == most
