"""A partial download and, beside it in JSON, what is known of its origin.

The bytes are appended to a `.part` file, which is never followed as a link: anyone who can write to
the folder could make it point to any file of ours.
"""

import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

from pointrend_repro.base.errors import UnwrittenError, UserError
from pointrend_repro.base.files import read_json, write_errors, write_json
from pointrend_repro.data.fetch.addresses import public_address


class Part:
    """A file that is not complete yet.

    Raises:
        UserError: its name is taken by something other than a file of its own.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _require_plain(path, _status(path))

    @property
    def size(self) -> int:
        """Its bytes; 0 if there is none."""
        status = _status(self.path)
        return status.st_size if status else 0

    @property
    def exists(self) -> bool:
        """Whether it exists, even if empty."""
        return _status(self.path) is not None

    def open(self) -> BinaryIO:
        """Open it for appending.

        Raises:
            UserError: it is no longer a file of its own.
            OSError: it cannot be written.
        """
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _require_plain(self.path, _status(self.path))
        stream = os.fdopen(os.open(self.path, flags, 0o666), "ab")
        try:
            _require_plain(self.path, os.fstat(stream.fileno()))
        except UserError:
            stream.close()
            raise
        return stream

    @property
    def beside(self) -> "Part":
        """Where a new beginning of the same file waits until it is worth more than this one."""
        return Part(self.path.with_name(self.path.name + ".again"))

    def become(self, other: "Part") -> None:
        """Take the bytes of another part, which is then no more; what was noted is forgotten."""
        _remove(self._note_path)
        other.path.replace(self.path)

    def discard(self) -> None:
        """Remove it and its notes, since it is wrong or finished."""
        with write_errors(self.path):
            _remove(self.path)
            _remove(self._note_path)

    def etag(self, url: str) -> str | None:
        """Return the version that the server named for exactly this URL, or None."""
        etag = self._note(url).get("etag")
        return etag if isinstance(etag, str) else None

    def reached(self, url: str) -> list[str]:
        """Return the addresses that its bytes came from, without secrets."""
        places = self._note(url).get("reached")
        return [str(place) for place in places] if isinstance(places, list) else []

    def is_whole(self, url: str) -> bool:
        """Whether it has all bytes that the server announced for exactly this URL."""
        return self.size > 0 and self._note(url).get("total") == self.size

    def note(self, url: str, etag: str | None, reached: str, total: int | None) -> None:
        """Record the version, the origin and the announced size of the bytes that follow."""
        known = self.reached(url) if self.size else []
        places = known if public_address(reached) in known else [*known, public_address(reached)]
        told = {"url": public_address(url), "etag": etag, "total": total, "reached": places}
        write_json(self._note_path, told)

    @property
    def _note_path(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def _note(self, url: str) -> dict[str, Any]:
        if not (self.exists and self._note_path.exists()):
            return {}
        try:
            known = read_json(self._note_path)
        except UserError:
            return {}
        return known if isinstance(known, dict) and known.get("url") == public_address(url) else {}


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _remove(path: Path) -> None:
    if _status(path) is not None:  # a read-only disk refuses to remove even what is not there
        path.unlink(missing_ok=True)


def _require_plain(path: Path, status: os.stat_result | None) -> None:
    if status is None or (stat.S_ISREG(status.st_mode) and status.st_nlink == 1):
        return
    what = "a link" if stat.S_ISLNK(status.st_mode) else "a second name of another file"
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISLNK(status.st_mode):
        what = "not a plain file"
    raise UnwrittenError(
        f"{path}: is {what}, so nothing is written to it; remove it and run the same command again"
    )
