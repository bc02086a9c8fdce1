"""What a pickle may not ask for, and how it is refused."""

import pickle
from typing import Any, Protocol, TypeVar

T = TypeVar("T")

# The bytes that text turned into bytes, arrays in another byte order and copied containers may take
# beyond those of the file.
_SPARE_BYTES = 1 << 20
LONGEST_SHOWN = 200

_KEYS = (str, bytes, int, float, type(None))


class RefusedError(pickle.UnpicklingError):
    """The pickle asks for something that is not allowed; the text says what."""


class Budget:
    """How many more bytes the file's content may be copied into: a few times its own size."""

    def __init__(self, file_bytes: int) -> None:
        self._left = 4 * file_bytes + _SPARE_BYTES

    def spend(self, count: int) -> None:
        """Take bytes from the budget.

        Raises:
            RefusedError: not enough are left.
        """
        self._left -= count
        if self._left < 0:
            raise RefusedError("more memory than its size explains")


class Readable(Protocol):
    """A source that pickles are read from."""

    def read(self, size: int, /) -> bytes:
        """Return this many bytes, or fewer at the end."""
        ...

    def readline(self) -> bytes:
        """Return the rest of a line, including its end."""
        ...


class Bounded:
    """A file that never reads beyond its size: Python would allocate the requested memory first."""

    def __init__(self, file: Readable, size: int) -> None:
        self._file, self._size = file, size
        self.readline = file.readline

    def read(self, size: int) -> bytes:
        """Return this many bytes, or fewer at the end."""
        return self._file.read(min(size, self._size))


def require(value: Any, *types: type[T]) -> T:
    """Return a value of one of these types.

    Raises:
        RefusedError: it is of another type.
    """
    if not isinstance(value, types):
        raise RefusedError(f"{shown(value)} instead of a {types[0].__name__}")
    return value


def plain_keys(keys: list[Any]) -> list[Any]:
    """Return keys that hash quickly; hashing nested tuples can take unlimited time.

    Raises:
        RefusedError: one is not text, a number or None.
    """
    for key in keys:
        if not isinstance(key, _KEYS):
            raise RefusedError(f"{shown(key)} as a key")
    return keys


def shown(value: Any) -> str:
    """Return text for a message; for values that may be long or nested, only the type."""
    if isinstance(value, str) and len(value) <= LONGEST_SHOWN:
        return repr(value)
    return f"an object of type {type(value).__name__}"
