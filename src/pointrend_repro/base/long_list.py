"""A JSON object of which one list stays in its file: COCO's annotations are most of their file.

As Python objects, 300,000 annotations take half a gigabyte. Who goes through them one after the
other needs none of them in memory.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json, reading_errors
from pointrend_repro.base.json_pieces import JsonText, ListEntry


class LongList(Collection[Any]):
    """A list in a JSON file, whose entries are parsed anew each time that they are asked for.

    Attributes:
        path: the file.
    """

    def __init__(self, path: Path, start: int, count: int, *, allow_nan: bool) -> None:
        self.path = path
        self._start, self._count = start, count
        self._allow_nan = allow_nan

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        return (found.value for found in self.located())

    def __contains__(self, value: object) -> bool:
        return any(value == each for each in self)

    def located(self) -> Iterator[ListEntry]:
        """Yield the entries and where in the file each is.

        Raises:
            UserError: the file can no longer be read.
        """
        with reading_errors(self.path), self.path.open("rb") as stream:
            yield from JsonText(stream, self._start).entries(allow_nan=self._allow_nan)


def read_with_long_list(path: Path, key: str, *, allow_nan: bool = False) -> Any:
    """Return what `read_json` does, with a `LongList` for one list of the object in the file.

    All of the file is parsed once, so what is wrong with it is told here.

    Args:
        path: the file, which must not change while the list is used.
        key: of the list; whatever else it stands for is returned as it is.
        allow_nan: as in `parse_json`.

    Raises:
        UserError: as in `read_json`.
    """
    try:
        with reading_errors(path), path.open("rb") as stream:
            found = _read(JsonText(stream), path, key, allow_nan=allow_nan)
    except UserError:
        found = None
    # No object, or a fault: let the reader of whole files tell it, as for any other file.
    return read_json(path, allow_nan=allow_nan) if found is None else found


def _read(text: JsonText, path: Path, key: str, *, allow_nan: bool) -> dict[str, Any] | None:
    if text.next_character() != "{":
        return None
    text.expect("{")
    found: dict[str, Any] = {}
    more = text.next_character() != "}"
    while more:
        name = text.entry(allow_nan=False).value
        if type(name) is not str or name in found:
            return None
        text.expect(":")
        if text.next_character() != "[":
            found[name] = text.entry(allow_nan=allow_nan).value
        elif name == key:
            start = text.byte
            count = sum(1 for _ in text.entries(allow_nan=allow_nan))
            found[name] = LongList(path, start, count, allow_nan=allow_nan)
        else:
            found[name] = [each.value for each in text.entries(allow_nan=allow_nan)]
        more = text.next_character() == ","
        if more:
            text.expect(",")
    text.expect("}")
    text.expect_end()
    return found
