"""Long JSON lists, read and written entry by entry, so that no whole list is ever in memory."""

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import atomic_path, reading_errors
from pointrend_repro.base.json_text import (
    UnreasonableJsonError,
    entry_decoder,
    refuse_half_characters,
)

_CHUNK = 1 << 20
_LONGEST = 64 << 20  # an entry: far above any result's, and reached if a quote is missing

_SPACE = re.compile(r"[ \t\n\r]*")
_BYTE_ORDER_MARKS = {
    "utf-8-sig": (codecs.BOM_UTF8, "utf-8"),
    "utf-16": (codecs.BOM_UTF16_LE, "utf-16-le"),
    "utf-32": (codecs.BOM_UTF32_LE, "utf-32-le"),
}


class ListEntry(NamedTuple):
    """One entry of a list in a file.

    Attributes:
        start: the byte of the file at which its text begins.
        length: of its text, in bytes.
        value: the parsed entry.
    """

    start: int
    length: int
    value: Any


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
        return _Text(stream).next_character() == "["


def read_json_list(path: Path, *, allow_nan: bool = False) -> Iterator[ListEntry]:
    """Yield the entries of a JSON file that holds one list, keeping only a few in memory.

    Args:
        path: in UTF-8, UTF-16 or UTF-32, laid out in any way.
        allow_nan: as in `parse_json`.

    Raises:
        UserError: as in `read_json`, once the fault is reached; or the file holds no list.
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
    """The text of a file, of which only the part being parsed is in memory.

    Attributes:
        codec: its encoding, without a byte order mark.
    """

    def __init__(self, stream: BinaryIO) -> None:
        head = stream.read(4)
        mark, self.codec = _encoding(head)
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(self.codec)()
        self._text = self._decoder.decode(head[len(mark) :])
        self._at = 0  # the current position in `_text`
        self._byte = len(mark)  # that position in the file
        self._at_end = False

    def next_character(self) -> str:
        """Return the next character that is not a space, without consuming it; empty at the end."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._take(space.end() if space else self._at)
            if self._at < len(self._text) or self._at_end:
                return self._text[self._at : self._at + 1]
            self._read(_CHUNK)

    def expect(self, character: str) -> None:
        """Consume spaces and the character that must follow."""
        if self.next_character() != character:
            raise self.error(f"Expecting {character!r}")
        self._take(self._at + 1)

    def entry(self, *, allow_nan: bool) -> ListEntry:
        """Consume the JSON value that comes next."""
        self.next_character()
        decoder, size = entry_decoder(allow_nan=allow_nan), _CHUNK
        while True:
            try:
                value, end = decoder.raw_decode(self._text, self._at)
                # A number may go on: what is read so far then ends in `.`, `e` or `e-`.
                if end + 2 < len(self._text) or self._at_end:
                    break
            except json.JSONDecodeError as error:
                # The part that is not read yet may complete it.
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
        """Return the error for a fault `ahead` characters further on."""
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
    """Return the byte order mark at the beginning of a file, and the encoding of the rest."""
    name = json.detect_encoding(head)
    if name not in _BYTE_ORDER_MARKS:
        return b"", name
    mark, codec = _BYTE_ORDER_MARKS[name]
    return (mark, codec) if head.startswith(mark) else (mark, codec.replace("-le", "-be"))
