"""Checkpoints from which a training resumes exactly: one file each, complete or absent.

They lie in a folder that no Snakemake rule declares as output, since Snakemake deletes declared
outputs before it reruns a job.
"""

import io
import logging
import re
from pathlib import Path
from typing import Any

import torch

from pointrend_repro.base.files import atomic_path, remove_leftovers
from pointrend_repro.checkpoints.torch_files import read_torch_file

_log = logging.getLogger(__name__)

_DIGEST = re.compile(r"\w{1,64}", re.ASCII)
# The previous one is kept, in case the disk damages the newest.
_KEEP = 2


def save_checkpoint(folder: Path, iteration: int, state: dict[str, Any]) -> None:
    """Save the state after `iteration` updates, and remove all but the two newest checkpoints."""
    # Written to memory first: torch reports a full disk as an internal error of its file format.
    content = io.BytesIO()
    torch.save({"iteration": iteration, **state}, content)
    with atomic_path(_path(folder, iteration)) as part:
        part.write_bytes(content.getbuffer())
    for old in _newest_first(folder)[_KEEP:]:
        old.unlink()


def load_checkpoint(folder: Path, *, training_digest: str) -> dict[str, Any] | None:
    """Return the newest readable state, or None if there is none.

    Checkpoints of another training than that of `training_digest` are moved aside and kept: they
    may hold days of work, and a changed setting should not require cleaning up by hand. What a
    killed process left half-written is removed.
    """
    remove_leftovers(folder, "iter_*.pt")
    for path in _newest_first(folder):
        try:
            state = _read(path)
        except Exception as error:  # a damaged file fails in many ways, none of them documented
            reason = " ".join(str(error).removeprefix(f"{path}: ").split())
            _log.warning("%s cannot be read (%s); trying the checkpoint before", path, reason)
            continue
        other = state["training_digest"]
        if other == training_digest:
            return state
        aside = _move_aside(folder, other)
        _log.warning("%s: of other settings, data or seed; moved to %s", path, aside)
        return None
    return None


def _move_aside(folder: Path, training_digest: str) -> Path:
    aside = folder.with_name(f"{folder.name}.{training_digest}")
    aside.mkdir(exist_ok=True)
    for path in _newest_first(folder):
        path.replace(aside / path.name)
    return aside


def _read(path: Path) -> dict[str, Any]:
    state = read_torch_file(path)
    digest = state.get("training_digest") if isinstance(state, dict) else None
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):  # it becomes a folder name
        raise ValueError("not a checkpoint of a training")
    return state


def _path(folder: Path, iteration: int) -> Path:
    return folder / f"iter_{iteration:08d}.pt"


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("iter_*.pt"), reverse=True)
