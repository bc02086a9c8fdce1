"""JSON that others may have written: read as RFC 8259 defines it, or refused in one line.

Python's own reader accepts NaN, silently keeps the last of two values for one key, and raises three
kinds of errors on input that is unreasonably nested or long. Every file, header and answer from
outside is read by this module instead.
"""

import contextlib
import functools
import gc
import json
import math
import re
import reprlib
from collections.abc import Iterator
from typing import Any, NoReturn

# Longer ones make no sense as numbers: above 308 digits not even a float holds it.
MOST_DIGITS = 100

# An escaped pair of surrogates is one character; group 1 is half of one. Backslashes occur only in
# strings, so a scan from left to right does not mistake an escaped backslash for an escape.
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 3, 80, 80


class UnreasonableJsonError(ValueError):
    """Well-formed JSON with a value that makes no sense."""


def parse_json(content: bytes | str, *, allow_nan: bool = False) -> Any:
    """Return the value of a JSON text.

    Args:
        content: as bytes in UTF-8, UTF-16 or UTF-32.
        allow_nan: accept NaN and Infinity, which Python tools write for a missing value; the
            caller then checks the numbers that it uses.

    Raises:
        ValueError: in one line; `UnreasonableJsonError` where the text is well-formed but is nested
            too deeply, has a number of more than `MOST_DIGITS` digits, one key with two values,
            half of a character, or NaN.
    """
    if isinstance(content, bytes):
        content = content.decode(json.detect_encoding(content))
    refuse_half_characters(content)
    try:
        with _no_garbage_collection():
            return entry_decoder(allow_nan=allow_nan).decode(content)
    except RecursionError:
        raise UnreasonableJsonError("it is nested too deeply") from None


@functools.cache
def entry_decoder(*, allow_nan: bool) -> json.JSONDecoder:
    """Return the decoder behind `parse_json`, for parsing a longer text piece by piece.

    It raises RecursionError where a value is nested too deeply, and accepts halves of characters.
    """
    return json.JSONDecoder(
        parse_int=_whole_number,
        parse_constant=float if allow_nan else _refuse_constant,
        object_pairs_hook=_object,
    )


def refuse_half_characters(text: str) -> None:
    """Refuse a JSON text with an escaped surrogate that stands alone.

    Raises:
        UnreasonableJsonError: there is one.
    """
    if "\\u" not in text:
        return
    for escape in _ESCAPE.finditer(text):
        if escape[1]:
            raise UnreasonableJsonError(f"it has half of a character, {escape[0]}")


def is_finite(value: Any) -> bool:
    """Return whether a value is a finite number; `true` is not one."""
    return type(value) in (int, float) and math.isfinite(value)


def shown(value: Any) -> str:
    """Return a value as it is written, cut to fit into one line of a message."""
    return _SHORT.repr(value)


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Parsing makes millions of lists but no cycles; looking for cycles doubles the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _whole_number(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise UnreasonableJsonError(f"it has a number of {len(text)} digits")
    return int(text)


def _refuse_constant(name: str) -> NoReturn:
    raise UnreasonableJsonError(f"it has {name}, which JSON does not have; write a number or null")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        for key, value in pairs:
            if found[key] != value:
                raise UnreasonableJsonError(f"it has the key {key[:60]!r} twice in one object")
    return found
