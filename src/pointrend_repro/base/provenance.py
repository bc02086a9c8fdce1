"""Where a number comes from: the record that every result carries.

A record holds the command, the resolved settings, the seed, the commit and a digest of the code,
library versions, device, wall time and peak memory of one step (train, predict or evaluate).
"""

import datetime
import hashlib
import importlib.metadata
import json
import platform
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pointrend_repro.base.asked import as_typed
from pointrend_repro.base.own_code import (
    PACKAGE_DIR,
    changed_since_loaded,
    note_loaded_modules,
    running_digest,
)

# Names and limits of a cluster are filled in by each user and change no number.
_CHANGES_NUMBERS = (":(top)", ":(top,exclude)slurm", ":(top,exclude)config/resources.yaml")

_LIBRARIES = (
    "accelerate",
    "cityscapesscripts",
    "faster-coco-eval",
    "fvcore",
    "lvis",
    "numpy",
    "pillow",
    "pycocotools",
    "snakemake",
    "torch",
    "torchvision",
)


def start_record(
    *, settings: dict[str, Any], seed: int | None, device: str
) -> Callable[[], dict[str, Any]]:
    """Start the clock; the returned function returns the record of this step up to now.

    Commit, versions and code are those that the step began with, also where a working copy has
    changed under it: what it had loaded by then does not change any more. If files of loaded code
    have changed, the record names their modules (`changed_during_run`).

    Args:
        settings: resolved settings, as plain JSON values.
        seed: the seed of everything random in the step, or None where nothing is.
        device: the device in words.
    """
    started = datetime.datetime.now(datetime.UTC)
    clock = time.monotonic()
    commit, libraries = git_commit(), versions()
    note_loaded_modules()

    def finish() -> dict[str, Any]:
        modules, changed = note_loaded_modules(), changed_since_loaded()
        return {
            "command": command_line(),
            "settings": settings,
            "settings_digest": digest(settings),
            "seed": seed,
            "device": device,
            "started": started.isoformat(timespec="seconds"),
            "wall_s": round(time.monotonic() - clock, 3),
            "peak_memory_mb": peak_memory_mb(),
            "git_commit": commit,
            "code_digest": running_digest(modules),
            "code_modules": modules,
            "versions": versions() | libraries,  # some are loaded later
            **({"changed_during_run": changed} if changed else {}),
        }

    return finish


def digest(value: Any) -> str:
    """Return twelve hex digits that change whenever a JSON value does."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def git_commit(folder: Path = PACKAGE_DIR) -> str | None:
    """Return the commit that has the code, with `+changes` if the tree differs.

    None outside git, and in a repository that does not have the package but lies around it: of a
    project with the package in its ignored `.venv`, or with an unpacked archive below it. A clone
    (`src/<package>`) is asked whoever it belongs to, since its code is already running.
    """
    try:
        # The second is the folder in that commit: without it git refuses to name any.
        commit = _git(folder, "rev-parse", "HEAD", "HEAD:./").split()[0]
        changes = _git(
            folder, "status", "--porcelain", "--untracked-files=no", "--", *_CHANGES_NUMBERS
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}+changes" if changes else commit


# Code from outside the package that this process has loaded: module name -> digest of its file,
# or library -> version.
_loaded_files: dict[str, str] = {}


def record_file(module: str, path: Path) -> None:
    """Add a file of code from outside the package to the records of this process."""
    _loaded_files[module] = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"


def record_version(library: str, version: str) -> None:
    """Add a library that few processes use to the records of this process."""
    _loaded_files[library] = version


def outside_code() -> dict[str, str]:
    """Return what `record_file` and `record_version` have added in this process."""
    return dict(_loaded_files)


def versions() -> dict[str, str]:
    """Return the versions of Python, libraries and outside files that a number depends on."""
    found = {"python": platform.python_version(), **_loaded_files}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    if "cv2" in sys.modules:  # several distributions bring it
        found["opencv"] = sys.modules["cv2"].__version__
    return found


def command_line() -> str:
    """Return this process's command as a person would type it."""
    return as_typed() + shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def cpu_name() -> str:
    """Return the processor's name, or its architecture where the system does not give one."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.machine()


def peak_memory_mb() -> float:
    """Return the largest resident size that this process has had, in MB (1e6 bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


def _git(folder: Path, *args: str) -> str:
    # Git refuses other people's clones: one that colleagues share, or that a container mounts.
    clone = ["-c", f"safe.directory={folder.parent.parent}"]
    done = subprocess.run(
        ["git", *clone, "-C", str(folder), *args], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()
