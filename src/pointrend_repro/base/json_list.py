"""Long JSON lists, read and written entry by entry, so that no whole list is ever in memory."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import atomic_path, reading_errors
from pointrend_repro.base.json_pieces import JsonText, ListEntry


def write_json_list(path: Path, entries: Iterable[Any]) -> None:
    """Write entries as one JSON list atomically, byte for byte as `write_json` does without indent.

    Each entry is written as it comes, so a generator need not keep them. NaN and infinity are
    refused: JSON has none.
    """
    write_json_texts(path, map(json_text, entries))


def json_text(entry: Any) -> str:
    """Return an entry as `write_json_texts` takes it."""
    return json.dumps(entry, allow_nan=False)


def write_json_texts(path: Path, texts: Iterable[str]) -> None:
    """Write a list as `write_json_list` does, of which each text is some entries.

    Args:
        texts: entries separated by ", "; an empty text has none.
    """
    with atomic_path(path) as part, part.open("w", encoding="utf-8") as stream:
        stream.write("[")
        for index, text in enumerate(filter(None, texts)):
            stream.write(", " if index else "")
            stream.write(text)
        stream.write("]\n")


def json_list_texts(path: Path) -> Iterator[str]:
    """Yield the entries of a file that `write_json_texts` has written, as one text or none.

    So lists are joined without being parsed; a part of a long list should fit into memory.

    Raises:
        UserError: the file cannot be read, or is not whole.
    """
    with reading_errors(path):
        text = path.read_text(encoding="utf-8")
    if not (text.startswith("[") and text.endswith("]\n")):
        raise UserError(f"{path}: is not whole; remove it and run the same command again")
    yield text[1:-2]


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
    """Return the encoding of the entries that `read_json_list` finds in a file.

    Raises:
        UserError: the file cannot be read.
    """
    with reading_errors(path), path.open("rb") as stream:
        return JsonText(stream).codec
