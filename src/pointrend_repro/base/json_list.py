"""Long JSON lists, written and read entry by entry, so that no list is ever whole in memory."""

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from pointrend_repro.base.files import atomic_path, reading_errors
from pointrend_repro.base.json_text import (
    UnreasonableJsonError,
    entry_decoder,
    refuse_half_characters,
)

_CHUNK = 1 << 20
_LONGEST = 64 << 20  # an entry; nobody's results come near it, and a missing quote would reach it

_SPACE = re.compile(r"[ \t\n\r]*")
_BYTE_ORDER_MARKS = {
    "utf-8-sig": (codecs.BOM_UTF8, "utf-8"),
    "utf-16": (codecs.BOM_UTF16_LE, "utf-16-le"),
    "utf-32": (codecs.BOM_UTF32_LE, "utf-32-le"),
}


class ListEntry(NamedTuple):
    """One entry of a list in a file.

    Attributes:
        start: where its text begins in the file, in bytes.
        length: of its text, in bytes.
        value: the parsed entry.
    """

    start: int
    length: int
    value: Any


def write_json_list(path: Path, entries: Iterable[Any]) -> None:
    """Write entries as one JSON list atomically: the bytes that `write_json` without indent makes.

    Each entry is written as it comes, so that what makes them need not keep them. NaN and infinity
    are refused: JSON has none.
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
        return _Text(stream).next_character() == "["


def read_json_list(path: Path, *, allow_nan: bool = False) -> Iterator[ListEntry]:
    """Yield the entries of the one list in a JSON file, in the memory of some of them.

    Args:
        path: in UTF-8, UTF-16 or UTF-32, laid out in any way.
        allow_nan: as of `parse_json`.

    Raises:
        UserError: as `read_json`, when the fault is reached; or there is no list.
    """
    with reading_errors(path), path.open("rb") as stream:
        text = _Text(stream)
        text.expect("[")
        more = text.next_character() != "]"
        while more:
            yield text.entry(allow_nan=allow_nan)
            more = text.next_character() == ","
            if more:
                text.expect(",")
        text.expect("]")
        if text.next_character():
            raise text.error("Extra data")


def encoding_of(path: Path) -> str:
    """Return the encoding of the entries that `read_json_list` finds in a file."""
    with reading_errors(path), path.open("rb") as stream:
        return _Text(stream).codec


class _Text:
    """The text of a file, of which only what is looked at is in memory.

    Attributes:
        codec: its encoding, without a byte order mark.
    """

    def __init__(self, stream: BinaryIO) -> None:
        head = stream.read(4)
        mark, self.codec = _encoding(head)
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(self.codec)()
        self._text = self._decoder.decode(head[len(mark) :])
        self._at = 0  # the place in `_text` that is looked at
        self._byte = len(mark)  # that place in the file
        self._at_end = False

    def next_character(self) -> str:
        """Return the next character that is no space, without taking it; none at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._take(space.end() if space else self._at)
            if self._at < len(self._text) or self._at_end:
                return self._text[self._at : self._at + 1]
            self._read(_CHUNK)

    def expect(self, character: str) -> None:
        """Take a character that must come next, behind spaces."""
        if self.next_character() != character:
            raise self.error(f"Expecting {character!r}")
        self._take(self._at + 1)

    def entry(self, *, allow_nan: bool) -> ListEntry:
        """Take the JSON value that comes next."""
        self.next_character()
        decoder, size = entry_decoder(allow_nan=allow_nan), _CHUNK
        while True:
            try:
                value, end = decoder.raw_decode(self._text, self._at)
                # A number may go on: what is read of it ends in `.`, `e` or `e-` at most.
                if end + 2 < len(self._text) or self._at_end:
                    break
            except json.JSONDecodeError as error:
                # What is not yet read may make it whole.
                if self._at_end:
                    raise self.error(error.msg, error.pos - self._at) from None
                if len(self._text) - self._at > _LONGEST:
                    problem = f"no whole value begins at byte {self._byte}"
                    raise UnreasonableJsonError(problem) from None
            except RecursionError:
                raise UnreasonableJsonError("it is nested too deeply") from None
            self._read(size)
            size *= 2
        refuse_half_characters(self._text[self._at : end])
        start = self._byte
        self._take(end)
        return ListEntry(start, self._byte - start, value)

    def error(self, problem: str, ahead: int = 0) -> ValueError:
        """Return the error of a fault so many characters ahead."""
        byte = self._byte + len(self._text[self._at : self._at + ahead].encode(self.codec))
        return ValueError(f"{problem}: byte {byte}")

    def _take(self, end: int) -> None:
        self._byte += len(self._text[self._at : end].encode(self.codec))
        self._at = end

    def _read(self, size: int) -> None:
        new = self._stream.read(size)
        self._at_end = not new
        self._text = self._text[self._at :] + self._decoder.decode(new, final=not new)
        self._at = 0


def _encoding(head: bytes) -> tuple[bytes, str]:
    """Return the byte order mark that a file begins with and the encoding behind it."""
    name = json.detect_encoding(head)
    if name not in _BYTE_ORDER_MARKS:
        return b"", name
    mark, codec = _BYTE_ORDER_MARKS[name]
    return (mark, codec) if head.startswith(mark) else (mark, codec.replace("-le", "-be"))
