"""JSON that others may have written: taken as RFC 8259 means it, or refused in one line.

Python's own reader takes NaN, takes the last of two values for one key in silence, and ends in
three kinds of errors on what is nested or long beyond reason. Every file, header and answer from
outside goes through this one instead.
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

# What has more cannot be meant as a number: above 308 digits not even a float holds it.
MOST_DIGITS = 100

# An escaped pair of surrogates is one character; group 1 is half of one. Backslashes stand only in
# texts, so taking them from left to right finds what an escaped backslash would hide.
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 3, 80, 80


class UnreasonableJsonError(ValueError):
    """Whole JSON by its letters, but nothing that anybody can mean."""


def parse_json(content: bytes | str, *, allow_nan: bool = False) -> Any:
    """Return the value of a JSON text.

    Args:
        content: as bytes in UTF-8, UTF-16 or UTF-32.
        allow_nan: take NaN and Infinity, as tools in Python write them for a value that is
            missing; who asks for them checks the numbers that it uses.

    Raises:
        ValueError: in one line; `UnreasonableJsonError` where the text is whole, but is nested too
            deeply, has a number of more than `MOST_DIGITS` digits, one key with two values, half
            of a character, or NaN.
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
    """Return the decoder behind `parse_json`, for who parses a longer text piece by piece.

    It raises RecursionError where a value is nested too deeply, and takes halves of characters.
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
    """Return whether a value is a number that one can calculate with: `true` is none."""
    return type(value) in (int, float) and math.isfinite(value)


def shown(value: Any) -> str:
    """Return a value as it is written, cut to what fits into one line of a message."""
    return _SHORT.repr(value)


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Parsing makes no circles, but millions of lists: to look for circles takes half the time."""
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
    raise UnreasonableJsonError(f"it has {name}, which JSON has not; write a number or null")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        for key, value in pairs:
            if found[key] != value:
                raise UnreasonableJsonError(f"it has the key {key[:60]!r} twice in one object")
    return found
