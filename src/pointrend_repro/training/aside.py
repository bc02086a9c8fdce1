"""Checkpoints of other trainings, kept beside a training's own: `checkpoints.<name>`.

What tells of such a training moves with its checkpoints: what it started from, its log, and its
sample predictions. Otherwise they would be taken for those of the training that comes next.
"""

import shutil
from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import write_errors

_NOTES = ("start.json",)
_BESIDE = ("log.jsonl", "samples")


def checkpoints_in(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, newest first.

    Raises:
        UserError: as `listed`.
    """
    return sorted((path for path in listed(folder) if path.match("iter_*.pt")), reverse=True)


def listed(folder: Path) -> list[Path]:
    """Return what lies in a folder; nothing if there is none.

    `Path.glob` finds nothing either where a shared disk fails for a moment, and a training would
    take itself for a new one.

    Raises:
        UserError: it cannot be listed.
    """
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be listed: {error.strerror}; run the same command again when it can"
        ) from None


def move_aside(folder: Path, name: str) -> Path:
    """Move all checkpoints in `folder` aside under a name, and return where they are.

    The newest goes last of them: if this is cut off, a training that finds the rest has lost
    nothing.
    """
    aside = folder.with_name(f"{folder.name}.{name}")
    with write_errors(aside):
        aside.mkdir(exist_ok=True)
        for path in reversed(checkpoints_in(folder)):
            path.replace(aside / path.name)
        for here, there in _told(folder, aside):
            _replace(here, there)
    return aside


def move_back(aside: Path, folder: Path) -> None:
    """Move checkpoints that lie aside to a `folder` that has none.

    What tells of them goes first, and the newest first of them: if this is cut off, the next run
    goes on from the newest.
    """
    with write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for here, there in _told(folder, aside):
            _remove(here)  # of yet another training
            _replace(there, here)
        for path in checkpoints_in(aside):
            path.replace(folder / path.name)
        if not any(aside.iterdir()):
            aside.rmdir()


def _told(folder: Path, aside: Path) -> list[tuple[Path, Path]]:
    """Return for each file that tells of checkpoints its place beside them, and its place aside."""
    notes = [(folder / name, aside / name) for name in _NOTES]
    return [*notes, *((folder.with_name(name), aside / name) for name in _BESIDE)]


def _replace(source: Path, target: Path) -> None:
    if source.exists():
        _remove(target)
        source.replace(target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
