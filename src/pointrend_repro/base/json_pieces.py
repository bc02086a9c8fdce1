"""A long JSON text, parsed piece by piece, so that the whole of it is never in memory."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

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


class JsonText:
    """The text of a file, of which only the part being parsed is in memory.

    Args:
        stream: the file.
        start: the byte to begin at; None: the first character.

    Attributes:
        codec: its encoding, without a byte order mark.
    """

    def __init__(self, stream: BinaryIO, start: int | None = None) -> None:
        head = stream.read(4)
        mark, self.codec = _encoding(head)
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(self.codec)()
        self._text = ""
        self._at = 0  # the current position in `_text`
        self._byte = len(mark) if start is None else start  # that position in the file
        self._at_end = False
        stream.seek(self._byte)

    @property
    def byte(self) -> int:
        """Where in the file the current position is."""
        return self._byte

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

    def expect_end(self) -> None:
        """Require that only spaces follow."""
        if self.next_character():
            raise self.error("Extra data")

    def entries(self, *, allow_nan: bool) -> Iterator[ListEntry]:
        """Consume the list that comes next, and yield its entries."""
        self.expect("[")
        more = self.next_character() != "]"
        while more:
            yield self.entry(allow_nan=allow_nan)
            more = self.next_character() == ","
            if more:
                self.expect(",")
        self.expect("]")

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
