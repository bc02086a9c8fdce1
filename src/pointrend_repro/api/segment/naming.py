"""What the files are called that are made of a picture."""

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from pointrend_repro.base.files import MOST_NAME_BYTES

# How Python holds a byte of a name that is not UTF-8. No JSON, page or address can hold it.
_NO_TEXT = re.compile("[\ud800-\udfff]")


def names_for(paths: Iterable[Path], *, taken: Iterable[str]) -> list[str]:
    """Return a name for each picture, its own as far as no other one has it.

    Args:
        taken: names that are in use.

    Returns:
        Names of UTF-8, unique also where a disk does not tell A from a, or the two spellings of ü.
    """
    used = {_folded(name) for name in taken}
    last: dict[str, int] = {}  # number of each stem: cameras and films repeat theirs
    names = []
    for path in paths:
        stem = _short(as_text(path.stem), path)
        name, number = stem, last.get(stem, 1)
        while _folded(name) in used:
            number += 1
            name = f"{stem}_{number}"
        last[stem] = number
        used.add(_folded(name))
        names.append(name)
    return names


def as_text(path: Path | str) -> str:
    """Return a path as text that any file can hold, whatever bytes are in it."""
    return _NO_TEXT.sub("\ufffd", str(path))


def _folded(name: str) -> str:
    """Return what is the same of names that are one file on macOS: letter case and composition."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _short(name: str, path: Path) -> str:
    """Cut a name between two characters, and put a digest in place of what is lost."""
    whole = name.encode()
    if len(whole) <= MOST_NAME_BYTES:
        return name
    digest = hashlib.sha256(os.fsencode(path.stem)).hexdigest()[:8]
    return f"{whole[: MOST_NAME_BYTES - 9].decode(errors='ignore')}_{digest}"
