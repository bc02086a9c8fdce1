"""A package of somebody else's, as an installed one lies on Python's path."""

import sys
from pathlib import Path

import pytest


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, entry_points: str, **files: str) -> Path:
    """Write a package into `folder` and let Python find it.

    Args:
        entry_points: the text of `entry_points.txt`.
        files: by module of the package `counting`, its text.
    """
    info = folder / "counting-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "entry_points.txt").write_text(entry_points)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: counting\nVersion: 1.0\n")
    (folder / "counting").mkdir()
    for name in ["__init__", *files]:
        (folder / "counting" / f"{name}.py").write_text(files.get(name, ""))
        module = "counting" if name == "__init__" else f"counting.{name}"
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.syspath_prepend(folder)
    return folder
