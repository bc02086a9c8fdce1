"""Checkpoints from which a training continues exactly: one file each, whole or absent.

They lie in a folder that no Snakemake rule declares as output, since Snakemake deletes declared
outputs before it runs a job again.
"""

import logging
from pathlib import Path
from typing import Any

import torch

from pointrend_repro.errors import UserError
from pointrend_repro.files import atomic_path

_log = logging.getLogger(__name__)

# The one before stays, in case the disk damages the newest.
_KEEP = 2


def save_checkpoint(folder: Path, iteration: int, state: dict[str, Any]) -> None:
    """Save the state after `iteration` updates, and remove all but the two newest checkpoints."""
    with atomic_path(_path(folder, iteration)) as part:
        torch.save({"iteration": iteration, **state}, part)
    for old in _newest_first(folder)[_KEEP:]:
        old.unlink()


def load_checkpoint(folder: Path, *, settings_digest: str) -> dict[str, Any] | None:
    """Return the newest state that can be read, or None where there is none.

    Raises:
        UserError: it belongs to other settings than `settings_digest`.
    """
    for path in _newest_first(folder):
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file fails in many ways, none of them documented
            _log.warning("%s cannot be read (%s); trying the checkpoint before", path, error)
            continue
        if state["settings_digest"] != settings_digest:
            raise UserError(
                f"{path}: belongs to a training with other settings; "
                f"remove the folder {folder} to start afresh"
            )
        return state
    return None


def _path(folder: Path, iteration: int) -> Path:
    return folder / f"iter_{iteration:08d}.pt"


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("iter_*.pt"), reverse=True)
