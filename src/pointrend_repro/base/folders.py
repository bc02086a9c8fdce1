"""Folders that are whole or absent, as `files` has it for single files."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pointrend_repro.base.files import part_of, sync_file, write_errors


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`, which replaces it when the block ends well.

    Whatever goes wrong inside the block, the temporary folder is removed and an older `path` stays
    as it was. If the process is killed between the two renames of an exchange, the older one waits
    beside it for `remove_leftovers`, which gives it its name back.

    Raises:
        UserError: the disk is full, or the folder cannot be written.
    """
    part = part_of(path)
    try:
        with write_errors(path):
            part.mkdir(parents=True)
            yield part
            sync_folder(part)
            _put(part, path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Wait until the files below a folder are on the disk, as `sync_file` does for one."""
    for below, _, names in os.walk(folder):
        for file in (Path(below, name) for name in names):
            if file.is_file() and not file.is_symlink():
                sync_file(file)


def _put(part: Path, path: Path) -> None:
    """Rename a folder to a name that an older one may have, which is removed."""
    if not path.exists():
        part.rename(path)
        return
    old = part.with_suffix(".old")
    path.rename(old)
    try:
        part.rename(path)
    except BaseException:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)
