"""Long JSON lists, read and written entry by entry, so that no whole list is ever in memory."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pointrend_repro.base.files import atomic_path, reading_errors
from pointrend_repro.base.json_pieces import JsonText, ListEntry


def write_json_list(path: Path, entries: Iterable[Any]) -> None:
    """Write entries as one JSON list atomically, byte for byte as `write_json` does without indent.

    Each entry is written as it comes, so a generator need not keep them. NaN and infinity are
    refused: JSON has none.
    """
    with atomic_path(path) as part, part.open("w", encoding="utf-8") as stream:
        stream.write("[")
        for index, entry in enumerate(entries):
            stream.write(", " if index else "")
            stream.write(json.dumps(entry, allow_nan=False))
        stream.write("]\n")


def is_json_list(path: Path) -> bool:
    """Return whether the first character of a JSON file opens a list.

    Raises:
        UserError: the file cannot be read.
    """
    with reading_errors(path), path.open("rb") as stream:
        return JsonText(stream).next_character() == "["


def read_json_list(path: Path, *, allow_nan: bool = False) -> Iterator[ListEntry]:
    """Yield the entries of a JSON file that holds one list, keeping only a few in memory.

    Args:
        path: in UTF-8, UTF-16 or UTF-32, laid out in any way.
        allow_nan: as in `parse_json`.

    Raises:
        UserError: as in `read_json`, once the fault is reached; or the file holds no list.
    """
    with reading_errors(path), path.open("rb") as stream:
        text = JsonText(stream)
        yield from text.entries(allow_nan=allow_nan)
        text.expect_end()


def encoding_of(path: Path) -> str:
    """Return the encoding of the entries that `read_json_list` finds in a file."""
    with reading_errors(path), path.open("rb") as stream:
        return JsonText(stream).codec
