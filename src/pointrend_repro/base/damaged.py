"""Moves damaged results aside when a pipeline step finds them, so that a rerun helps.

Snakemake remakes missing files. Nothing is deleted: a file may hold days of work.
"""

import contextlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from pointrend_repro.base.errors import DamagedError, OtherRunError, UnreadError, UserError


@contextlib.contextmanager
def damaged_moved_aside() -> Iterator[None]:
    """Rename what the block finds damaged to `<name>.damaged`, then `.damaged2` and so on.

    Raises:
        UserError: the block's own; for a `DamagedError`, what was moved and what to do.
    """
    try:
        yield
    except DamagedError as error:
        try:
            kept = [str(rename_damaged(path)) for path in error.files if path.exists()]
        except OSError:  # a read-only folder
            raise error from None
        if not kept:  # another job was faster
            raise
        raise UserError(
            f"{error.problem}; kept as {' and '.join(kept)}: run again to remake it"
        ) from error


@contextlib.contextmanager
def made_anew(*files: Path) -> Iterator[None]:
    """Report a reader's error in the block as damage to `files`, which are cheap to remake.

    Raises:
        DamagedError: in place of the block's `UserError`, unless that says nothing of the files, as
            `UnreadError` and `OtherRunError`.
    """
    try:
        yield
    except (DamagedError, UnreadError, OtherRunError):
        raise
    except UserError as error:
        raise DamagedError(str(error), files) from error


def rename_damaged(path: Path) -> Path:
    """Rename a file or folder to the first free name of these, and return that.

    Raises:
        OSError: it cannot be renamed, or is gone.
    """
    names = (f"{path.name}.damaged{'' if number == 1 else number}" for number in count(1))
    free = next(aside for name in names if not (aside := path.with_name(name)).exists())
    return path.rename(free)
