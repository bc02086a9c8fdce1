"""`make smoke`: a line for each step, all that Snakemake says of a failure, and `make clean`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pointrend_repro.pipeline.progress_lines import shorten

SNAKEFILE = """
rule all:
    input: "two", "bad"
rule one:
    output: "one"
    message: "Making one"
    shell: "touch {output}"
rule two:
    input: "one"
    output: "two"
    log: "two.log"
    shell: "touch {output}"
rule bad:
    input: "two"
    output: "bad"
    log: "logs/bad.log"
    shell: "(echo the reason; false) >{log} 2>&1"
"""


def said(folder: Path, *targets: str) -> list[str]:
    (folder / "Snakefile").write_text(SNAKEFILE)
    options = [
        "--cores",
        "1",
        "--printshellcmds",
        "--show-failed-logs",
        "--quiet",
        "host",
        "reason",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *targets, *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return list(shorten(done.stdout.splitlines(keepends=True)))


def test_a_line_a_step_and_a_failure_with_its_log(tmp_path: Path) -> None:
    lines = said(tmp_path)
    assert lines[:2] == ["1 of 4 steps (25%): Making one", "2 of 4 steps (50%): two"]
    rest = "\n".join(lines[2:])
    assert "Error in rule bad:" in rest
    assert "log: logs/bad.log (check log file(s) for error details)" in rest
    assert "the reason" in rest
    assert rest.startswith("RuleException")


def test_what_is_finished_says_so(tmp_path: Path) -> None:
    assert said(tmp_path, "two")[-1] == "2 of 2 steps (100%): two"
    assert said(tmp_path, "two") == [
        "Nothing to be done (all requested files are present and up to date)."
    ]


def test_an_error_before_the_first_step_is_passed_on(tmp_path: Path) -> None:
    assert any("nothing_of_the_kind" in line for line in said(tmp_path, "nothing_of_the_kind"))
    assert list(shorten(["error: preset 'x' is wrong\n", "[a]\n"])) == [
        "error: preset 'x' is wrong",
        "[a]",
    ]
    assert list(shorten(["a warning of a library\n", "    more\n"])) == ["a warning of a library"]


@pytest.mark.parametrize("target", ["smoke", "smoke-papers"])
def test_make_fails_with_snakemake(tmp_path: Path, target: str) -> None:
    repository, commands = Path(__file__).resolve().parents[2], tmp_path / ".venv/bin"
    commands.mkdir(parents=True)
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(repository / name, tmp_path)
    (commands / "activate").write_text(f"VIRTUAL_ENV='{tmp_path}/.venv'\n")
    scripts = {"snakemake": "echo 'error: no'; exit 1", "python": f'exec {sys.executable} "$@"'}
    for name, script in scripts.items():
        (commands / name).write_text(f"#!/bin/sh\n{script}\n")
        (commands / name).chmod(0o755)
    (tmp_path / ".venv/.ready").touch()
    done = subprocess.run(
        # macOS has make 3.81, whose shell has these flags whatever the Makefile says.
        ["make", "--no-print-directory", ".SHELLFLAGS=-c", target],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "MAKEFLAGS"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert done.stdout == "error: no\n"


def test_make_clean_leaves_what_other_presets_made(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).resolve().parents[2] / "Makefile", tmp_path)
    of_smoke = ["results/smoke", "reports/smoke", "data/generated_coco", "logs/generated_coco"]
    of_others = ["results/mini", "reports/mini", "data/mini_coco", "logs/mini_coco"]
    for folder in [*of_smoke, *of_others, "logs/slurm/rule_train"]:
        (tmp_path / folder).mkdir(parents=True)
    subprocess.run(["make", "clean"], cwd=tmp_path, capture_output=True, check=True)
    left = [path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*/*")]
    assert sorted(left) == sorted([*of_others, "logs/slurm"])
