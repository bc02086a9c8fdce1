"""A result is known by the code it ran through: other code may come and go."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pointrend_repro.base.own_code import (
    PACKAGE_DIR,
    loaded_modules,
    modules_digest,
    package_digest,
)

PROGRAM = """
import json
import pointrend_repro.base.names
from pointrend_repro.base.provenance import start_record
record = start_record(settings={}, seed=None, device="cpu")()
print(json.dumps([record["code_digest"], record["code_modules"]]))
"""
NAMES = "base/names.py"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    copy = tmp_path / "pointrend_repro"
    shutil.copytree(PACKAGE_DIR, copy, ignore=shutil.ignore_patterns("__pycache__"))
    assert package_digest(copy) == package_digest()
    return copy


def run_step(package: Path) -> tuple[str, list[str]]:
    """What a process records that computes with a copy of the package."""
    environment = os.environ | {"PYTHONPATH": str(package.parent)}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        command, env=environment, cwd=package.parent, check=True, capture_output=True, text=True
    )
    found, modules = json.loads(done.stdout)
    assert modules_digest(modules, package) == found
    return found, modules


CHANGED_WHILE_IT_RUNS = """
import json
from pathlib import Path
import pointrend_repro.base.names as loaded
from pointrend_repro.base import own_code, provenance
commits = iter(["of its start", "of its end"])
provenance.git_commit = lambda: next(commits)
before = own_code.modules_digest(own_code.loaded_modules())
finish = provenance.start_record(settings={}, seed=None, device="cpu")
same = finish()
for name in ("names", "texts"):
    with (Path(loaded.__file__).parent / f"{name}.py").open("a") as stream:
        stream.write("# pulled\\n")
changed = finish()
import pointrend_repro.base.texts
later = finish()
print(json.dumps([before, same, changed, later]))
"""


def test_a_record_is_of_the_code_that_was_loaded_not_of_what_came_since(package: Path) -> None:
    """`git pull` while a training of days runs."""
    environment = os.environ | {"PYTHONPATH": str(package.parent)}
    command = [sys.executable, "-c", CHANGED_WHILE_IT_RUNS]
    done = subprocess.run(
        command, env=environment, cwd=package.parent, check=True, capture_output=True, text=True
    )
    before, same, changed, later = json.loads(done.stdout)
    assert same["code_digest"] == before
    assert "changed_during_run" not in same
    assert changed["code_digest"] == before
    assert changed["changed_during_run"] == ["pointrend_repro.base.names"]
    assert changed["git_commit"] == "of its start"
    # What is loaded later is of the other code: so the whole is of neither.
    assert later["code_modules"] == sorted([*changed["code_modules"], "pointrend_repro.base.texts"])
    (package / NAMES).write_bytes((PACKAGE_DIR / NAMES).read_bytes())
    assert modules_digest(changed["code_modules"], package) == before
    assert modules_digest(later["code_modules"], package) == later["code_digest"]


def append(path: Path) -> None:
    with path.open("a") as stream:
        stream.write("# changed\n")


def test_a_step_names_what_it_has_loaded(package: Path) -> None:
    made, modules = run_step(package)
    assert modules == sorted(modules)
    assert {"pointrend_repro", "pointrend_repro.base.names"} <= set(modules)
    assert not {name for name in modules if ".training" in name or ".reporting" in name}
    (package / "modeling" / "new_family.py").write_text("x = 1\n")
    append(package / "training/loop.py")
    assert modules_digest(modules, package) == made
    assert run_step(package) == (made, modules)


@pytest.mark.parametrize("name", [NAMES, "base/__init__.py", "__init__.py", "base/provenance.py"])
def test_a_change_of_what_it_has_loaded_is_seen(package: Path, name: str) -> None:
    made, modules = run_step(package)
    append(package / name)
    assert modules_digest(modules, package) != made


def test_a_loaded_module_that_is_renamed_or_gone_is_seen(package: Path) -> None:
    modules = ["pointrend_repro", "pointrend_repro.base", "pointrend_repro.base.names"]
    made = modules_digest(modules, package)
    (package / NAMES).rename(package / "base/words.py")
    gone = modules_digest(modules, package)
    renamed = modules_digest([*modules[:2], "pointrend_repro.base.words"], package)
    (package / "base/names").mkdir()
    shutil.copy(package / "base/words.py", package / "base/names/__init__.py")
    as_a_folder = modules_digest(modules, package)
    assert len({made, gone, renamed, as_a_folder}) == 4


def test_the_order_of_names_does_not_count() -> None:
    names = loaded_modules()
    assert modules_digest(reversed(names)) == modules_digest(names)


def test_a_command_line_has_loaded_next_to_nothing_when_a_command_begins() -> None:
    code = "import sys, pointrend_repro.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    own = [n.split(".") for n in done.stdout.split() if n.startswith("pointrend_repro.")]
    assert {parts[1] for parts in own} == {"base", "cli", "commands", "config"}
    assert [parts for parts in own if parts[1] == "config"][1:] == [
        ["pointrend_repro", "config", "folder"]
    ]


def test_what_only_shows_numbers_is_not_named() -> None:
    import pointrend_repro.cli
    import pointrend_repro.reporting.page  # noqa: F401

    shows = ("cli", "commands", "reporting", "tools", "figures")
    assert not {name for name in loaded_modules() if name.split(".")[1:2] in [[s] for s in shows]}


@pytest.mark.parametrize(
    "name", ["modeling/points.py", "training/loop.py", "evaluation/coco_ap.py"]
)
def test_a_change_that_decides_a_number_changes_the_package(package: Path, name: str) -> None:
    append(package / name)
    assert package_digest(package) != package_digest()


@pytest.mark.parametrize("name", ["reporting/page.py", "reporting/new.py", "README.md"])
def test_a_change_of_showing_does_not(package: Path, name: str) -> None:
    append(package / name)
    assert package_digest(package) == package_digest()


def test_new_and_renamed_files_change_the_package(package: Path) -> None:
    (package / "modeling" / "new.py").write_text("")
    added = package_digest(package)
    (package / "modeling" / "new.py").rename(package / "modeling" / "newer.py")
    assert len({package_digest(), added, package_digest(package)}) == 3


@pytest.mark.parametrize("room", ["base", "settings", "data", "modeling"])
def test_processes_that_load_images_load_no_code_of_their_own(room: str) -> None:
    """They run functions of these rooms: what one imports when called, they alone would have."""
    late = {
        f"{path.relative_to(PACKAGE_DIR)}: {ast.unparse(node)}"
        for path in (PACKAGE_DIR / room).rglob("*.py")
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.ImportFrom | ast.Import) and "pointrend_repro" in ast.unparse(node)
    }
    checks_before_a_training = {
        "data/check.py: from pointrend_repro.data.semantic import read_labelled_images"
    }
    assert late - checks_before_a_training == set()
