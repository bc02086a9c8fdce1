"""A clone that was copied with its `.venv`, whose commands are those of the first one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pointrend_repro.base.own_code import PACKAGE_DIR
from pointrend_repro.commands.own_clone import has_other_code
from working_copy import REPOSITORY, WorkingCopy, make_copy


def clone(folder: Path, code: str = "one\n", *, by_git: bool = True) -> Path:
    package = folder / "src/pointrend_repro"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(code)
    (folder / "Snakefile").touch()
    if by_git:
        (folder / ".git").touch()  # a file, as a worktree has it
    return package


def test_the_code_of_another_clone_is_not_ones_own_even_if_it_is_the_same(tmp_path: Path) -> None:
    first, second = clone(tmp_path / "first"), clone(tmp_path / "second")
    assert has_other_code(tmp_path / "second", first)
    assert not has_other_code(tmp_path / "second", second)
    (tmp_path / "link").symlink_to(tmp_path / "second")
    assert not has_other_code(tmp_path / "link", second)


def test_an_image_serves_the_clones_that_have_its_code(tmp_path: Path) -> None:
    image = clone(tmp_path / "opt", by_git=False)
    clone(tmp_path / "same")
    clone(tmp_path / "other", "two\n")
    assert not has_other_code(tmp_path / "same", image)
    assert has_other_code(tmp_path / "other", image)


def test_a_folder_of_ones_own_is_no_clone(tmp_path: Path) -> None:
    first = clone(tmp_path / "first")
    assert not has_other_code(tmp_path, first)
    (tmp_path / "src/pointrend_repro").mkdir(parents=True)
    assert not has_other_code(tmp_path, first)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> WorkingCopy:
    copy = make_copy(tmp_path_factory.mktemp("copied") / "second clone")
    clone(copy.folder)
    shutil.copy(REPOSITORY / "Snakefile", copy.folder)
    return copy


def test_a_copied_clone_does_not_run_with_the_first_ones_code(copied: WorkingCopy) -> None:
    done = copied.snakemake("--dry-run", "--config", "preset=smoke")
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert str(PACKAGE_DIR) in line
    assert f"not that of the clone {copied.folder}; run `make setup`" in line


def test_a_command_in_it_says_whose_code_runs(copied: WorkingCopy) -> None:
    command = [sys.executable, "-m", "pointrend_repro", "check-head", "--help"]
    lines = {}
    for folder in (copied.folder, copied.folder / "config", REPOSITORY):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        lines[folder.name] = done.stderr.splitlines()
    assert lines["second clone"][0].startswith(f"WARNING the package that runs is {PACKAGE_DIR},")
    assert lines["config"] == lines[REPOSITORY.name] == []


# --- make ------------------------------------------------------------------------------------


@pytest.fixture
def set_up(tmp_path: Path) -> Path:
    """A clone after `make setup`, but for what pip installs."""
    first = tmp_path / "first clone"
    first.mkdir()
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, first)
    venv = [sys.executable, "-m", "venv", "--without-pip", str(first / ".venv")]
    subprocess.run(venv, check=True)
    (first / ".venv/.ready").touch()
    return first


def setup_would_run(folder: Path) -> str:
    done = subprocess.run(
        ["make", "--dry-run", "setup"],
        cwd=folder,
        env={key: value for key, value in os.environ.items() if key != "MAKEFLAGS"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_make_sets_up_a_copied_clone_anew(set_up: Path) -> None:
    assert "-m venv" not in setup_would_run(set_up)
    (set_up.parent / "link").symlink_to(set_up)
    assert "-m venv" not in setup_would_run(set_up.parent / "link")
    second = set_up.parent / "second clone"
    subprocess.run(["cp", "-r", str(set_up), str(second)], check=True)
    assert "-m venv --clear .venv" in setup_would_run(second)
    shutil.rmtree(set_up)
    assert "-m venv --clear .venv" in setup_would_run(second), "nor is a moved one ready"


def test_make_keeps_a_venv_whose_lock_is_older(set_up: Path) -> None:
    os.utime(set_up / ".venv/.ready", (0, 0))
    assert "-m venv .venv" in setup_would_run(set_up)
