"""A generated folder is either complete, with a record of what made it, or absent."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import track

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json, write_json
from pointrend_repro.base.folders import sync_folder
from pointrend_repro.data.paths import GENERATED_RECORD
from pointrend_repro.settings.generated import RENDERER_VERSION, GeneratedSettings
from pointrend_repro.settings.identity import identity


def generate_folder(
    root: Path, *, layout: str, settings: GeneratedSettings, fill: Callable[[Path], None]
) -> None:
    """Let `fill` write the files of `root`, unless the same settings already made them.

    Args:
        root: The folder to make. Its files appear all at once, when `fill` is done.
        layout: The name of the layout, for the record.
        settings: The settings, for the record.
        fill: Writes all files into the folder that it gets.

    Raises:
        UserError: `root` holds something else, or cannot be written.
    """
    record = {
        "layout": layout,
        "renderer_version": RENDERER_VERSION,
        "settings": identity(settings),
    }
    if _is_kept(root, record):
        return
    try:
        with _whole_folder(root) as part:
            fill(part)
            write_json(part / GENERATED_RECORD, {**record, "files": _file_count(part)})
    except OSError as error:
        raise UserError(f"{root}: cannot be generated: {error.strerror or error}") from error


def progress(count: int, description: str) -> Iterator[int]:
    """Yield 0 to `count - 1`, with a progress bar where standard error is a terminal."""
    console = Console(stderr=True)
    yield from track(
        range(count),
        description=description,
        console=console,
        transient=True,
        disable=not sys.stderr.isatty(),
    )


def _is_kept(root: Path, record: dict[str, object]) -> bool:
    """Whether `root` already is what `record` describes; False if it has no files yet."""
    if not root.exists() or (root.is_dir() and _file_count(root) == 0):
        return False
    if not (root / GENERATED_RECORD).is_file():
        raise UserError(
            f"{root}: holds files that were not generated here; move them or choose another folder"
        )
    found = read_json(root / GENERATED_RECORD)
    file_count = found.pop("files", 0) if isinstance(found, dict) else 0
    if found != record:
        raise UserError(
            f"{root}: was generated with other settings (see {GENERATED_RECORD}); "
            "remove it or choose another folder"
        )
    # Extra files, such as a pipeline's time stamps, do no harm; missing ones do.
    if _file_count(root) < file_count + 1:
        raise UserError(f"{root}: some of its generated files are gone; remove it and run again")
    return True


@contextlib.contextmanager
def _whole_folder(root: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `root`, renamed to `root` when the block ends well."""
    root.parent.mkdir(parents=True, exist_ok=True)
    # One level further down, so that the folder gets the usual permissions, not those of mkdtemp.
    outer = Path(tempfile.mkdtemp(prefix=f".{root.name}.", suffix=".part", dir=root.parent))
    try:
        part = outer / root.name
        part.mkdir()
        yield part
        sync_folder(part)
        # The caller may have made empty folders; rmdir leaves all others.
        for folder, _, _ in os.walk(root, topdown=False):
            Path(folder).rmdir()
        part.rename(root)
    finally:
        shutil.rmtree(outer, ignore_errors=True)


def _file_count(folder: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(folder))
