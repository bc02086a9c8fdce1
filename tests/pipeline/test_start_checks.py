"""What is asked before the first job, so that it is one line and not the middle of a run."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointrend_repro.base.errors import UserError
from pointrend_repro.pipeline.start_checks import (
    require_files_of_the_past,
    require_places_to_write,
    require_sound_data,
    require_workflow_profile,
    require_working_folder,
    trained_anew_in_words,
)
from working_copy import WorkingCopy, make_copy

IN_2030 = 1_893_456_000
DATASET = "results/smoke/generated_coco/dataset.json"


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def refusal(check: Callable[[], object]) -> str:
    with pytest.raises(UserError) as told:
        check()
    assert "\n" not in str(told.value)
    return str(told.value)


# --- profiles --------------------------------------------------------------------------------


@pytest.fixture
def profiles(work: Path) -> Path:
    for name in ("slurm", "profiles/default", "profiles/site"):
        (work / name).mkdir(parents=True)
        (work / name / "config.yaml").write_text("jobs: 1\n")
    return work


@pytest.mark.parametrize(
    "arguments",
    [
        ["--workflow-profile", "slrum"],
        ["--workflow-profile=slrum"],
        ["--workflow-prof", "slrum", "all"],
        ["-n", "--config", "preset=paper", "--workflow-profile", "slrum", "--", "all"],
        ["--workflow-profile", "slurm", "--workflow-profile", "slrum"],
    ],
)
def test_a_misspelt_workflow_profile_is_refused(arguments: list[str], profiles: Path) -> None:
    line = refusal(lambda: require_workflow_profile(arguments, profiles / "Snakefile"))
    assert line.startswith("--workflow-profile slrum: there is neither ")
    assert {"slrum", "profiles/slrum"} <= set(re.split(" nor | neither |,", line))
    assert line.endswith("did you mean 'slurm'?")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["all"],
        ["--cores", "1", "--profile", "slrum"],  # of which Snakemake itself says so
        ["--workflow-profile", "slurm"],
        ["--workflow-profile", "./slurm/"],
        ["--workflow-profile", "slurm/config.yaml"],
        ["--workflow-profile", "site"],
        ["--workflow-profile", "profiles/site"],
        ["--workflow-profile", "none"],
        ["--workflow-profile="],
        ["--workflow-profile", "slrum", "--workflow-profile", "slurm"],
        ["--", "--workflow-profile", "slrum"],
        ["--workflow-profile"],
        ["tests", "-k", "workflow", "-p", "no:cacheprovider"],  # of a program that calls Snakemake
    ],
)
def test_every_other_command_line_passes(arguments: list[str], profiles: Path) -> None:
    require_workflow_profile(arguments, profiles / "Snakefile")


def test_profiles_are_looked_for_where_snakemake_was_started(
    profiles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = profiles.parent / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(profiles)
    monkeypatch.setenv("PWD", str(elsewhere))
    there = ["--directory", str(profiles), "--workflow-profile"]
    require_workflow_profile([*there, "site"], profiles / "Snakefile")
    line = refusal(lambda: require_workflow_profile([*there, "slurm"], profiles / "Snakefile"))
    assert str(elsewhere / "profiles/slurm") in line
    (elsewhere / "slurm").mkdir()
    require_workflow_profile([*there, "slurm"], profiles / "Snakefile")


# --- places ----------------------------------------------------------------------------------


def test_folders_that_will_be_made_are_no_matter() -> None:
    require_working_folder()
    require_places_to_write(["results/smoke/a/b.json", "logs/x.log", "made.txt"])
    Path("results/smoke").mkdir(parents=True)
    Path("elsewhere").mkdir()
    Path("data").symlink_to("elsewhere")
    require_working_folder()
    require_places_to_write(["results/smoke/a/b.json", "data/x"])


def test_a_link_to_nowhere_is_named() -> None:
    Path("results").symlink_to("/nowhere/at all")
    expected = "results: is a link to /nowhere/at all, which is not there"
    assert refusal(require_working_folder).startswith(expected)
    assert refusal(lambda: require_places_to_write(["results/a/b"])).startswith(expected)


@pytest.mark.parametrize("name", ["results", "reports", "data", "logs", ".snakemake"])
def test_a_file_in_the_place_of_a_folder_is_named(name: str) -> None:
    Path(name).write_text("x")
    assert refusal(require_working_folder).startswith(f"{name}: should be a folder")


def test_a_place_without_the_right_to_write_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the system's own answer; the tests may run as root, who is let in everywhere."""
    Path("results/smoke").mkdir(parents=True)
    asked = []

    def access(path: Path, mode: int) -> bool:
        asked.append((Path(path), mode))
        return Path(path) != Path("results/smoke")

    monkeypatch.setattr(os, "access", access)
    require_working_folder()
    require_places_to_write(["reports/x"])
    files = ["results/smoke/a/b", "results/smoke/a/c"]
    line = refusal(lambda: require_places_to_write(files))
    assert line.startswith("results/smoke: cannot be written to (you have no right to)")
    assert asked[-1] == (Path("results/smoke"), os.W_OK | os.X_OK)
    read_only = SimpleNamespace(f_flag=os.ST_RDONLY | os.ST_NOSUID)
    monkeypatch.setattr(os, "statvfs", lambda _: read_only)
    assert "(its file system is read-only)" in refusal(lambda: require_places_to_write(files))
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "cannot be written to" in refusal(require_working_folder)


# --- dates -----------------------------------------------------------------------------------


def dated(name: str, time_s: float) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text("x")
    os.utime(name, (time_s, time_s))
    return name


@given(st.integers(-(10**9), 10**9))
def test_only_what_is_dated_well_ahead_is_refused(ahead_s: int) -> None:
    now = 1_700_000_000
    file = dated("x", now + ahead_s)
    if ahead_s > 600:
        assert f"{file}: is dated 20" in refusal(lambda: require_files_of_the_past([file], now))
    else:
        require_files_of_the_past([file], now)


def test_the_first_file_is_named_and_the_others_are_counted() -> None:
    now = time.time()
    files = [dated(f"d/{n}", IN_2030) for n in range(3)] + [dated("d/old", now), "d/none"]
    line = refusal(lambda: require_files_of_the_past(files, now))
    assert re.match(r"d/0: is dated (2029-12-31|2030-01-01) \d\d:\d\d, in the future, ", line)
    assert "and 2 more" in line
    assert "`touch`" in line


def test_links_and_folders_are_dated_as_snakemake_dates_them(work: Path) -> None:
    now = time.time()
    (work / "folder").mkdir()
    dated("folder/.snakemake_timestamp", now)
    os.utime("folder", (IN_2030, IN_2030))
    require_files_of_the_past(["folder"], now)
    os.utime("folder/.snakemake_timestamp", (IN_2030, IN_2030))
    assert refusal(lambda: require_files_of_the_past(["folder"], now)).startswith("folder: ")
    Path("link").symlink_to(dated("target", now))
    Path("away").symlink_to("nowhere")
    require_files_of_the_past(["link", "away"], now)
    os.utime("link", (IN_2030, IN_2030), follow_symlinks=False)
    assert refusal(lambda: require_files_of_the_past(["link"], now)).startswith("link: ")


def test_data_that_fail_their_check_are_told_in_its_words(work: Path) -> None:
    fails = "import sys; sys.exit('pointrend-repro: error: d: no such folder')"
    passes = "import sys; open(sys.argv[2], 'w').write('new')"
    Path("dataset.json").write_text("old")
    with pytest.raises(UserError, match=r"^d: no such folder; nothing was started$"):
        require_sound_data([sys.executable, "-c", fails], "dataset.json")
    require_sound_data([sys.executable, "-c", passes], "dataset.json")
    assert Path("dataset.json").read_text() == "old", "the rule writes it"


def test_data_are_not_checked_in_advance_without_a_record_or_the_command(work: Path) -> None:
    require_sound_data(["false"], "dataset.json")
    Path("dataset.json").touch()
    require_sound_data(["no-such-command"], "dataset.json")
    with pytest.raises(UserError, match=r"^no message; nothing was started$"):
        require_sound_data(["false"], "dataset.json")


# --- by Snakemake ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> WorkingCopy:
    return make_copy(tmp_path_factory.mktemp("checked") / "copy")


def errors(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("error: ")]


def test_a_run_that_snakemake_would_botch_does_not_begin(copy: WorkingCopy) -> None:
    """With a file of the future, which Snakemake itself would notice after the job."""
    data = copy.folder / "data/generated_coco"
    data.mkdir(parents=True)
    os.utime(data, (IN_2030, IN_2030))
    (line,) = errors(copy.snakemake("--cores", "1", "--", DATASET))
    assert line.startswith("error: data/generated_coco: is dated ")
    assert not (copy.folder / "results").exists(), "nothing ran"
    assert not list((copy.folder / ".snakemake/locks").glob("*")), "nor is it locked"
    data.rmdir()


def test_a_plan_says_at_once_that_results_are_out_of_reach(copy: WorkingCopy) -> None:
    (copy.folder / "results").symlink_to("/nowhere")
    (line,) = errors(copy.snakemake("--dry-run"))
    assert line.startswith("error: results: is a link to /nowhere, which is not there")
    (copy.folder / "results").unlink()


def test_finished_models_that_a_run_makes_anew_are_told(work: Path) -> None:
    reasons = {"b.safetensors": "Missing output files: b", "a.safetensors": "Params\n  changed"}
    assert trained_anew_in_words(reasons) is None
    assert trained_anew_in_words({}) is None
    for name in ("a.safetensors", "a.origin.json", "b.safetensors"):
        (work / name).touch()
    line = trained_anew_in_words(reasons)
    assert line is not None
    assert line.startswith(
        "a.safetensors: finished, and trained anew by this run (Params changed). If "
    )
    assert trained_anew_in_words({"a.safetensors": "Incomplete output files: a"}) is None
    (work / "b.origin.json").touch()
    line = trained_anew_in_words(reasons | {"a.safetensors": "x" * 9000})
    assert line is not None
    assert line.startswith("a.safetensors and 1 more: finished, and trained anew by this run (xxx")
    assert len(line) < 600
