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

from pointrend_repro.base.errors import UserError
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
    new = _path(folder, iteration)
    with atomic_path(new) as part:
        part.write_bytes(content.getbuffer())
    others = [path for path in _newest_first(folder) if path != new]
    for old in others[_KEEP - 1 :]:
        old.unlink()


def load_checkpoint(
    folder: Path, *, training_digest: str, data_digest: str | None = None
) -> dict[str, Any] | None:
    """Return the newest readable state, or None if there is none.

    Checkpoints of another training than that of `training_digest` are moved aside and kept: they
    may hold days of work, and a changed setting should not require cleaning up by hand. So are
    those of other data, where they have a `data_digest`, which older ones do not. What a killed
    process left half-written is removed.

    Raises:
        UserError: there are checkpoints, but none can be read. A disk that fails for a moment must
            not cost days, so that only the user can have such a training begin anew.
    """
    remove_leftovers(folder, "iter_*.pt")
    reasons = []
    for path in _newest_first(folder):
        try:
            state = _read(path)
        except Exception as error:  # a damaged file fails in many ways, none of them documented
            reason = " ".join(str(error).removeprefix(f"{path}: ").split())
            _log.warning("%s cannot be read (%s); trying the checkpoint before", path, reason)
            reasons.append(reason)
            continue
        other = _name_of_other(state, training_digest, data_digest)
        if other is None:
            return state
        aside = _move_aside(folder, other)
        _log.warning("%s: of other settings, data or seed; moved to %s", path, aside)
        return None
    if reasons:
        raise UserError(
            f"{folder}: none of its {len(reasons)} checkpoints can be read ({reasons[0]}); "
            "try again, or move the folder away to begin this training anew"
        )
    return None


def _name_of_other(
    state: dict[str, Any], training_digest: str, data_digest: str | None
) -> str | None:
    """Return by what to call a state that is of another training; None if it is of this one."""
    theirs = state["training_digest"]
    if theirs != training_digest:
        return str(theirs)
    data = state.get("data_digest", data_digest)
    return None if data == data_digest else f"{theirs}_{data}"


def _move_aside(folder: Path, other: str) -> Path:
    aside = folder.with_name(f"{folder.name}.{other}")
    aside.mkdir(exist_ok=True)
    for path in _newest_first(folder):
        path.replace(aside / path.name)
    return aside


def _read(path: Path) -> dict[str, Any]:
    state = read_torch_file(path)
    found = state if isinstance(state, dict) else {}
    names = {"training_digest", *({"data_digest"} & found.keys())}
    if not all(_is_digest(found.get(name)) for name in names):
        raise ValueError("not a checkpoint of a training")
    return found


def _is_digest(value: Any) -> bool:
    # It becomes a folder's name.
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _path(folder: Path, iteration: int) -> Path:
    return folder / f"iter_{iteration:08d}.pt"


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("iter_*.pt"), reverse=True)
