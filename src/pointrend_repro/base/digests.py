"""Digests of what steps write, by which the next step notices a file that has changed since.

A digest is `sha256:` and 64 hex digits of the bytes in order, so a file that is written piece by
piece can be hashed as it is written. Hashing afterwards is cheap too: 200 MB take 0.2 s, and a file
that was just written is still in memory.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from pointrend_repro.base.errors import UserError


def content_digest(path: Path) -> str:
    """Return the digest of a file's bytes or, of a folder, of the names and bytes of its files.

    Files whose name begins with a dot are left out: Snakemake keeps one in each folder that a rule
    makes.

    Raises:
        UserError: it is not there, or cannot be read.
    """
    try:
        if not path.is_dir():
            return _named(_file_hash(path))
        listing = hashlib.sha256()
        for name, file in _files_of(path):
            listing.update(f"{name}\0{_file_hash(file)}\n".encode(errors="surrogateescape"))
        return _named(listing.hexdigest())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def result_digest(content: Mapping[str, Any]) -> str:
    """Return the digest of the numbers in a metric file: all of it except its `origin`.

    The JSON is hashed with sorted keys and without spaces, so changing only its layout leaves the
    digest as it is.
    """
    numbers = {key: value for key, value in content.items() if key != "origin"}
    text = json.dumps(numbers, sort_keys=True, separators=(",", ":"))
    return _named(hashlib.sha256(text.encode()).hexdigest())


def short(digest: str) -> str:
    """Return the first digits of a digest, as people compare them."""
    return digest.removeprefix("sha256:")[:12]


def _named(digits: str) -> str:
    return f"sha256:{digits}"


def _file_hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _files_of(folder: Path) -> list[tuple[str, Path]]:
    files = (path for path in _below(folder) if path.is_file() and path.name[0] != ".")
    return sorted((path.relative_to(folder).as_posix(), path) for path in files)


def _below(folder: Path) -> Iterator[Path]:
    """Yield what is no folder. `Path.rglob` leaves out folders that it cannot list."""

    def fail(error: OSError) -> NoReturn:
        raise error

    for each, _, names in os.walk(folder, onerror=fail):
        yield from (Path(each, name) for name in names)
