"""Files that are whole or absent: nothing half-written ever stands under its final name."""

import contextlib
import errno
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pointrend_repro.base.errors import UnreadError, UnwrittenError, UserError
from pointrend_repro.base.json_text import UnreasonableJsonError, parse_json

# Of the name of a file that is made here, without its suffix. With it, disks take 255 bytes, and
# some that are encrypted 143.
MOST_NAME_BYTES = 120
# A result has its record beside it, under its own name but for the ending.
RECORD_ENDING = ".origin.json"
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, renamed to `path` when the block ends well.

    Whatever goes wrong inside the block, the temporary file is removed and an older `path`
    stays as it was. After a power failure `path` is the older or the new file, whole either way:
    the folder is not flushed, since file systems keep the order of its changes.

    Raises:
        UserError: the disk is full, or the file cannot be written.
    """
    part = part_of(path)
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.touch(exist_ok=False)
        mode = part.stat().st_mode
    try:
        with write_errors(path):
            yield part
            sync_file(part)
            part.chmod(mode)  # safetensors replaces it by a private file of its own
            part.replace(path)
    finally:
        with contextlib.suppress(OSError):  # gone, or a disk whose first error tells more
            part.unlink()


def remove_leftovers(folder: Path, pattern: str) -> None:
    """Remove what killed processes left half-written of files or folders named like `pattern`.

    A folder that made room for a newer one, which did not come, gets its name back. No process may
    still be writing one of them.

    Raises:
        UserError: it cannot be given back; nothing was removed.
    """
    for old in folder.glob(f".{pattern}.*.old"):
        path = old.with_name(old.name[1:].rsplit(".", 2)[0])
        if not path.exists():
            with write_errors(path):
                old.rename(path)
    for part in [*folder.glob(f".{pattern}.*.part"), *folder.glob(f".{pattern}.*.old")]:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    """Wait until a file's bytes are on the disk: after a power failure they would be missing."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def part_of(path: Path) -> Path:
    """Return a temporary path beside a path, also where its name is as long as a disk allows."""
    if len(os.fsencode(path.name)) > MOST_NAME_BYTES:
        # After a kill it stays: `remove_leftovers` knows parts by the names in them.
        return path.parent / f".{secrets.token_hex(16)}.part"
    return path.parent / f".{path.name}.{secrets.token_hex(4)}.part"


@contextlib.contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors in a block that writes `path` into one line for the user.

    Raises:
        UnwrittenError: the disk is full, or the file cannot be written.
    """
    try:
        yield
    except Exception as error:
        number = _system_error(error)
        if number is None:
            raise
        if number in _DISK_FULL:
            raise UnwrittenError(
                f"{path}: cannot be written: {os.strerror(number)}; "
                "free some space and run the same command again"
            ) from error
        raise UnwrittenError(
            f"{path}: cannot be written: {os.strerror(number)}; choose another place"
        ) from error


def require_other(output: Path, inputs: Iterable[Path]) -> None:
    """Refuse to write over a file that is to be read, or over a record, whatever they are called.

    Raises:
        UserError: the output is one of the inputs, or has the name of a record.
    """
    if output.name.endswith(RECORD_ENDING):
        raise UserError(f"{output}: is the name of a record; choose another output")
    for path in inputs:
        # A link or, where names have no case, another name: what it replaces is the same file.
        same = output.exists() and path.exists() and output.samefile(path)
        if same or output.resolve() == path.resolve():
            raise UserError(f"{output}: is one of the files to read; choose another output")


def is_there(path: Path) -> bool:
    """Whether a file that is to be written exists already.

    Raises:
        UserError: a folder is in its place.
    """
    if path.is_dir():
        raise UserError(f"{path}: cannot be written: it is a folder; choose another place")
    return path.exists()


def require_ours(path: Path, keys: Sequence[str], what: str) -> None:
    """Refuse to replace a JSON file unless it is of the kind that is to be written.

    Args:
        path: that need not exist.
        keys: with which its object begins, as `write_json` writes it.
        what: is to be written, for the message.

    Raises:
        UserError: it is another file.
    """
    # Others may be as large as COCO's, so that the beginning is looked at first.
    require_beginning(path, f'{{\n  "{keys[0]}":', what)
    if is_there(path) and not set(keys) <= set(read_json(path)):
        raise UserError(_not_ours(path, what))


def require_beginning(path: Path, beginning: str, what: str) -> None:
    """Refuse to replace a text file unless it begins like the one that is to be written.

    Args:
        path: that need not exist.
        what: is to be written, for the message.

    Raises:
        UserError: it is another file.
    """
    if not is_there(path):
        return
    with reading_errors(path), path.open("rb") as stream:
        is_ours = stream.read(len(beginning.encode())) == beginning.encode()
    if not is_ours:
        raise UserError(_not_ours(path, what))


def _not_ours(path: Path, what: str) -> str:
    return f"{path}: exists, and is no file of {what}; choose another output"


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically, as UTF-8."""
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any, *, indent: int | None = 2) -> None:
    """Write `value` as JSON to `path` atomically. NaN and infinity are refused: JSON has none."""
    write_text(path, json.dumps(value, indent=indent, allow_nan=False) + "\n")


def read_json(path: Path, *, allow_nan: bool = False) -> Any:
    """Return the JSON value in `path`.

    Args:
        allow_nan: as in `parse_json`: for other people's data, whose numbers the caller checks.

    Raises:
        UnreadError: the system cannot read it, or it does not fit into memory.
        UserError: the file is missing, truncated, or not reasonable JSON.
    """
    with reading_errors(path):
        return parse_json(path.read_bytes(), allow_nan=allow_nan)


@contextlib.contextmanager
def reading_errors(path: Path) -> Iterator[None]:
    """Turn what goes wrong in a block that reads the JSON of `path` into one line for the user.

    Raises:
        UnreadError: the system cannot read it, or it does not fit into memory.
        UserError: the file is missing, truncated, or not reasonable JSON.
    """
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder, not a JSON file") from None
    except OSError as error:
        raise UnreadError(f"{path}: cannot be read: {error.strerror}") from None
    except MemoryError:
        raise UnreadError(f"{path}: does not fit into this machine's memory") from None
    except UnreasonableJsonError as error:
        raise UserError(f"{path}: refused, since {error}") from None
    except ValueError as error:
        raise UserError(
            f"{path}: not valid JSON ({error}); the file may be truncated: fetch or make it again"
        ) from None


def _system_error(error: Exception) -> int | None:
    """The system's error number, which a library in Rust (safetensors) gives only in its text."""
    if isinstance(error, OSError):
        return error.errno
    code = re.search(r"\(os error (\d+)\)", str(error))
    return int(code[1]) if code else None
