import importlib.metadata
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pointrend_repro.base import provenance
from pointrend_repro.base.own_code import PACKAGE_DIR, loaded_modules, modules_digest
from pointrend_repro.base.provenance import (
    command_line,
    digest,
    git_commit,
    peak_memory_mb,
    start_record,
    versions,
)
from pointrend_repro.reporting.results import Record

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


def test_record_tells_where_a_number_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/opt/bin/pointrend-repro", "train", "--preset", "a b"])
    finish = start_record(settings={"lr": 0.1}, seed=3, device="cpu (a name)")
    time.sleep(0.02)
    record = finish()
    assert set(record) == {
        *("command", "settings", "settings_digest", "seed", "device", "started", "wall_s"),
        *("peak_memory_mb", "git_commit", "code_digest", "code_modules", "versions"),
    }
    assert record["command"] == "pointrend-repro train --preset 'a b'"
    assert record["settings"] == {"lr": 0.1}
    assert record["settings_digest"] == digest({"lr": 0.1})
    assert (record["seed"], record["device"]) == (3, "cpu (a name)")
    assert record["started"].endswith("+00:00")
    assert 0.02 <= record["wall_s"] < 5
    assert record["code_digest"] == modules_digest(record["code_modules"])
    assert record["code_modules"] == loaded_modules()
    assert record["versions"]["torch"] == torch.__version__.split("+")[0]
    assert Record.model_validate(json.loads(json.dumps(record)))  # what the report reads


@given(JSON)
@settings(max_examples=25, deadline=None)
def test_digest_does_not_depend_on_the_order_of_keys(value: object) -> None:
    def reverse(part: object) -> object:
        if isinstance(part, dict):
            return {key: reverse(part[key]) for key in reversed(part)}
        return [reverse(item) for item in part] if isinstance(part, list) else part

    assert digest(reverse(value)) == digest(value)
    assert len(digest(value)) == 12


@given(JSON, JSON)
@settings(max_examples=25, deadline=None)
def test_digest_tells_values_apart(one: object, other: object) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (digest(one) == digest(other)) == same


def test_digest_does_depend_on_the_order_of_a_list() -> None:
    assert digest([1, 2]) != digest([2, 1])


def git(folder: Path, *args: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *who, *args]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_git_commit_of_a_clean_and_a_changed_tree(tmp_path: Path) -> None:
    git(tmp_path, "init")
    assert git_commit(tmp_path) is None  # no commit yet
    (tmp_path / "code.py").write_text("one\n")
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert git_commit(tmp_path) == commit
    (tmp_path / "notes.txt").write_text("not tracked\n")
    assert git_commit(tmp_path) == commit
    (tmp_path / "code.py").write_text("two\n")
    assert git_commit(tmp_path) == f"{commit}+changes"


def test_the_commit_of_a_clone_that_belongs_to_somebody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that colleagues share, or that a container's root runs; git refuses these by itself."""
    package = tmp_path / "a clone/src/pointrend_repro"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    clone = package.parents[1]
    git(clone, "init")
    git(clone, "add", "src")
    git(clone, "commit", "-m", "first")
    commit = git(clone, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    ask = ["-C", str(clone), "rev-parse", "HEAD"]
    excepted = ["-c", f"safe.directory={clone}"]
    told = [subprocess.run(["git", *said, *ask]).returncode for said in ([], excepted)]
    if told != [128, 0]:
        pytest.skip("this git asks nobody whose it is, or takes exceptions from files alone")
    assert git_commit(package) == commit
    (package / "__init__.py").write_text("changed = True\n")
    assert git_commit(package) == f"{commit}+changes"
    # A repository around the clone is not asked: its settings may name programs of others.
    shutil.move(clone / ".git", tmp_path / ".git")
    assert git_commit(package) is None


def test_the_commit_of_a_project_around_the_package_is_not_the_code_s(tmp_path: Path) -> None:
    """A wheel in the project's `.venv`, which git ignores, and an archive unpacked there."""
    git(tmp_path, "init")
    (tmp_path / ".gitignore").write_text(".venv/\n")
    vendored = tmp_path / "vendored/pointrend_repro"
    others = [tmp_path / name for name in (".venv/lib/pointrend_repro", "pointrend/src")]
    for folder in (vendored, *others):
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
    git(tmp_path, "add", ".gitignore", "vendored")
    git(tmp_path, "commit", "-m", "the project's own")
    assert git_commit(vendored) == git(tmp_path, "rev-parse", "HEAD")
    assert [git_commit(folder) for folder in others] == [None, None]


def test_no_commit_outside_git_or_without_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    folder = tmp_path / "folder"
    folder.mkdir()
    assert git_commit(folder) is None
    monkeypatch.setenv("PATH", str(folder))
    assert git_commit(PACKAGE_DIR) is None


def test_versions_leave_out_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_LIBRARIES", ("torch", "no-such-library"))
    monkeypatch.setattr(provenance, "_loaded_files", {})  # what other tests have noted
    monkeypatch.delitem(sys.modules, "cv2", raising=False)
    assert set(versions()) == {"python", "torch"}


def test_versions_name_the_opencv_that_is_loaded_whatever_package_brought_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """conda's has another name than pip's four."""
    monkeypatch.setitem(sys.modules, "cv2", SimpleNamespace(__version__="4.99.1"))
    assert versions()["opencv"] == "4.99.1"


@pytest.mark.parametrize("library", ["faster-coco-eval", "fvcore", "lvis", "pycocotools"])
def test_versions_name_the_tools_that_make_numbers(library: str) -> None:
    """Boundary AP's IoU, Table 2's counts, AP* and AP."""
    assert versions()[library] == importlib.metadata.version(library)


def test_peak_memory_is_in_mb_and_never_falls() -> None:
    before = peak_memory_mb()
    block = bytearray(200_000_000)
    block[::4096] = b"x" * len(block[::4096])
    after = peak_memory_mb()
    del block
    assert 50 < before < 100_000
    assert peak_memory_mb() >= after >= before


def test_command_line_is_what_a_person_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/a/b/pointrend-repro", "report", "--reports-dir", "my out"])
    assert command_line() == "pointrend-repro report --reports-dir 'my out'"
