"""The bytes of one response on their way into a partial download."""

from collections.abc import Callable
from types import TracebackType

from pointrend_repro.data.fetch.parts import Part


class Arriving:
    """What a response brings, as a context that writes it.

    A response that continues the part is appended to it. One that begins at byte 0 waits beside a
    part that has bytes already: a network that asks for a login answers anything, too. It replaces
    the part once it is longer, or is known to be the whole file; otherwise it is removed.
    """

    def __init__(self, part: Part, start: int, note: Callable[[], None]) -> None:
        """Open the file.

        Args:
            part: the partial download.
            start: the byte at which the response starts, 0 or the part's size.
            note: records where the bytes of the part come from.

        Raises:
            UserError: a file is a link, or no plain one.
        """
        self._part, self._note = part, note
        self._had = part.size if start == 0 else 0
        self._have = start
        self._file = part.beside if self._had else part
        if start == 0:
            self._file.discard()
        if not self.waits:
            note()
        self._stream = self._file.open()

    @property
    def waits(self) -> bool:
        """Whether the part is still what it was."""
        return self._file is not self._part

    def write(self, chunk: bytes) -> None:
        """Append some bytes."""
        self._stream.write(chunk)
        self._have += len(chunk)
        if self._have > self._had:
            self.replace()

    def replace(self) -> None:
        """Let the response be the part from now on."""
        if self.waits:
            self._part.become(self._file)
            self._file = self._part
            self._note()

    def __enter__(self) -> "Arriving":
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file, and remove what is worth less than the part."""
        self._stream.close()
        if self.waits:
            self._file.discard()
