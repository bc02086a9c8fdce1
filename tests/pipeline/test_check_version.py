"""A release's tag, its version and its changes are of one number."""

import shutil
import subprocess
from pathlib import Path

import pytest

CHECK = Path(__file__).resolve().parents[2] / ".ci" / "check-version"


@pytest.mark.parametrize(
    ("version", "tag", "error"),
    [
        ("0.2.0", None, ""),
        ("0.2.0", "v0.2.0", ""),
        ("0.2.0", "v0.3.0", "tag v0.3.0, but pyproject.toml says version 0.2.0"),
        ("0.3.0", "v0.3.0", "CHANGELOG.md says nothing of 0.3.0"),
    ],
)
def test_a_tag_says_the_version_of_the_package(
    tmp_path: Path, version: str, tag: str | None, error: str
) -> None:
    (tmp_path / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changes\n\n## 0.2.0\n\nThis and that.\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(
        [*git, "commit", "--quiet", "--allow-empty", "-m", "a"], cwd=tmp_path, check=True
    )
    if tag:
        subprocess.run([*git, "tag", tag], cwd=tmp_path, check=True)
    done = subprocess.run(
        [shutil.which("bash") or "bash", CHECK], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stderr == (f"error: {error}\n" if error else "")
    assert done.returncode == bool(error)
