"""What a pickle may not ask for, and how that is said."""

import pickle
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

# What text turned into bytes, arrays in another byte order and copied containers may take beyond
# what the file holds.
_SPARE_BYTES = 1 << 20
LONGEST_SHOWN = 200

_KEYS = (str, bytes, int, float, type(None))


class RefusedError(pickle.UnpicklingError):
    """The pickle asks for something that is not admitted; the text says what."""


class Budget:
    """How many bytes a file's content may still be copied into: a few times its own size."""

    def __init__(self, file_bytes: int) -> None:
        self._left = 4 * file_bytes + _SPARE_BYTES

    def spend(self, count: int) -> None:
        """Take bytes from what is left.

        Raises:
            RefusedError: there are not so many left.
        """
        self._left -= count
        if self._left < 0:
            raise RefusedError("more memory than its size explains")


class Readable(Protocol):
    """What a pickle is read from."""

    def read(self, size: int, /) -> bytes:
        """Return so many bytes, or fewer at the end."""
        ...

    def readline(self) -> bytes:
        """Return what is left of a line, with its end."""
        ...


class Bounded:
    """A file of which nobody can ask for more than there is: Python makes room before it reads."""

    def __init__(self, file: Readable, size: int) -> None:
        self._file, self._size = file, size
        self.readline = file.readline

    def read(self, size: int) -> bytes:
        """Return so many bytes, or fewer at the end."""
        return self._file.read(min(size, self._size))


def require(value: Any, *types: type[T]) -> T:
    """Return a value of one of these types.

    Raises:
        RefusedError: it is of another.
    """
    if not isinstance(value, types):
        raise RefusedError(f"{shown(value)} in the place of a {types[0].__name__}")
    return value


def plain_keys(keys: list[Any]) -> list[Any]:
    """Return keys whose hash is soon found: that of nested tuples can take for ever.

    Raises:
        RefusedError: one is no text, number or None.
    """
    for key in keys:
        if not isinstance(key, _KEYS):
            raise RefusedError(f"{shown(key)} as a key")
    return keys


def shown(value: Any) -> str:
    """Return text for a message; of what may be long or nested, only the type."""
    if isinstance(value, str) and len(value) <= LONGEST_SHOWN:
        return repr(value)
    return f"an object of type {type(value).__name__}"
