"""Checkpoints from which a training resumes exactly: one file each, complete or absent.

They lie in a folder that no Snakemake rule declares as output, since Snakemake deletes declared
outputs before it reruns a job.
"""

import contextlib
import io
import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from pointrend_repro.base.damaged import rename_damaged
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import atomic_path, remove_leftovers
from pointrend_repro.checkpoints.torch_files import read_torch_file
from pointrend_repro.training.aside import checkpoints_in, listed, move_aside, move_back

_log = logging.getLogger(__name__)

_DIGEST = re.compile(r"\w{1,64}", re.ASCII)
# The previous one is kept, in case the disk damages the newest.
_KEEP = 2
# By what a state is recognised beside its `training_digest`, if it has it.
_MORE = {"data_digest", "source_digest"}


def save_checkpoint(folder: Path, iteration: int, state: dict[str, Any]) -> None:
    """Save the state after `iteration` updates, and remove all but the two newest checkpoints."""
    # Written to memory first: torch reports a full disk as an internal error of its file format.
    content = io.BytesIO()
    torch.save({"iteration": iteration, **state}, content)
    new = _path(folder, iteration)
    with atomic_path(new) as part:
        part.write_bytes(content.getbuffer())
    others = [path for path in checkpoints_in(folder) if path != new]
    for old in others[_KEEP - 1 :]:
        old.unlink()


def load_checkpoint(
    folder: Path,
    *,
    training_digest: str,
    data_digest: str | None = None,
    source_digest: str | None = None,
) -> dict[str, Any] | None:
    """Return the newest readable state, or None if there is none.

    Checkpoints of another training than that of `training_digest` are moved aside and kept: they
    may hold days of work, and a changed setting should not require cleaning up by hand. If this
    training's own lie aside, since the settings were others for a while, they are moved back. The
    same holds for checkpoints of other data, and of other weights to start from, where they have a
    `data_digest` and a `source_digest`, which older ones do not. What a killed process left
    half-written is removed.

    Args:
        source_digest: None also if what the training started from is gone: it is not needed to go
            on.

    Raises:
        UserError: there are checkpoints, but none can be read, or nobody can tell whether there
            are. A disk that fails for a moment must not cost days, so that only the user can have
            such a training begin anew.
    """
    ours = {
        "training_digest": training_digest,
        "data_digest": data_digest,
        "source_digest": source_digest,
    }
    state = _newest(folder)
    remove_leftovers(folder, "iter_*.pt")
    if state is not None and not _is_of(state, ours):
        name = "_".join(str(state[key]) for key in ours if key in state)
        aside = move_aside(folder, name)
        said = "of other settings, data, seed or weights to start from; moved to"
        _log.warning("%s: %s %s", folder, said, aside)
        state = None
    return _bring_back(folder, ours) if state is None else state


def _bring_back(folder: Path, ours: dict[str, str | None]) -> dict[str, Any] | None:
    """Return the state of this training that lies aside, if one does, moved back into `folder`."""
    name = f"{folder.name}.{ours['training_digest']}"
    asides = [path for path in listed(folder.parent) if path.name.startswith(name)]
    for aside in sorted(asides, reverse=True):  # a longer name says more of what they are of
        others = set(aside.name.removeprefix(name).split("_")) - {"", *ours.values()}
        if others:  # of other data or weights; were they damaged, they need not be read
            continue
        state = _newest(aside)
        if state is not None and _is_of(state, ours):
            move_back(aside, folder)
            _log.warning("%s: of these settings and data; moved back to %s", aside, folder)
            return state
    return None


def _newest(folder: Path) -> dict[str, Any] | None:
    """Return the newest readable state in a folder; None if it has no checkpoint."""
    reasons: dict[Path, str] = {}
    for path in checkpoints_in(folder):
        try:
            state = _read(path)
        except Exception as error:  # a damaged file fails in many ways, none of them documented
            reason = " ".join(str(error).removeprefix(f"{path}: ").split())
            _log.warning("%s cannot be read (%s); trying the checkpoint before", path, reason)
            reasons[path] = reason
        else:
            _keep_damaged(reasons)
            return state
    if reasons:
        first = next(iter(reasons.values()))
        raise UserError(
            f"{folder}: none of its {len(reasons)} checkpoints can be read ({first}); "
            "try again, or move the folder away to begin this training anew"
        )
    return None


def _keep_damaged(paths: Iterable[Path]) -> None:
    """Give other names to what would take a readable checkpoint's place among the two newest."""
    for path in paths:
        with contextlib.suppress(OSError):
            _log.warning("%s: kept as %s", path, rename_damaged(path).name)


def _is_of(state: dict[str, Any], ours: dict[str, str | None]) -> bool:
    """Whether a state is of this training, as far as it says of which it is."""
    theirs = {key: state.get(key, value) for key, value in ours.items()}
    if ours["source_digest"] is None:
        del theirs["source_digest"]
    return all(ours[key] == value for key, value in theirs.items())


def _read(path: Path) -> dict[str, Any]:
    state = read_torch_file(path)
    found = state if isinstance(state, dict) else {}
    names = {"training_digest", *(_MORE & found.keys())}
    if not all(_is_digest(found.get(name)) for name in names):
        raise ValueError("not a checkpoint of a training")
    return found


def _is_digest(value: Any) -> bool:
    # It becomes a folder's name.
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _path(folder: Path, iteration: int) -> Path:
    return folder / f"iter_{iteration:08d}.pt"
