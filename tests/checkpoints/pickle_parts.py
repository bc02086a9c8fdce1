"""Pieces of pickles, as hostile ones are put together and as Python 2 wrote them."""

import pickle
import struct
from collections.abc import Mapping

import numpy as np


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def raw(data: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(data)) + data


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def number(value: int) -> bytes:
    return pickle.dumps(value, 2)[2:-1]


def dtype(code: str) -> bytes:
    return name("numpy", "dtype") + text(code) + b"\x89\x88\x87R"


def state(
    order: str = "<",
    parts: bytes = b"NNN",
    sizes: tuple[int, int] = (-1, -1),
    flags: int = 0,
    version: int = 3,
) -> bytes:
    """A dtype's state, and the step that sets it; `parts` are sub-array, names and fields."""
    items = number(version) + text(order) + parts + b"".join(map(number, (*sizes, flags)))
    return b"(" + items + b"tb"


def array(dtype: bytes, shape: tuple[int, ...], data: bytes) -> bytes:
    empty = name("numpy.core.multiarray", "_reconstruct")
    empty += name("numpy", "ndarray") + number(0) + b"\x85" + raw(b"b") + b"\x87R"
    sides = b"(" + b"".join(map(number, shape)) + b"t"
    return empty + b"(" + number(1) + sides + dtype + b"\x89" + data + b"tb"


def checkpoint(tensors: Mapping[str, bytes]) -> bytes:
    """A whole pickle of {"model": tensors}."""
    items = b"".join(text(key) + value for key, value in tensors.items())
    return b"\x80\x02}" + text("model") + b"}(" + items + b"us."


def python2_pickle(value: object) -> bytes:
    """What cPickle of Python 2.7 with NumPy 1.11 to 1.16 wrote of dicts, text and arrays.

    Protocol 2. The order of the steps is that of `numpy/_core/tests/data/astype_copy.pkl`, which is
    such a file; names and texts are byte strings, and what is written twice is looked up.
    """
    memo: dict[bytes, bytes] = {}

    def once(part: bytes) -> bytes:
        if part in memo:
            return memo[part]
        number = len(memo) + 1
        memo[part] = b"h" + bytes([number])
        return part + b"q" + bytes([number])

    def string(data: bytes) -> bytes:
        if len(data) < 256:
            return b"U" + bytes([len(data)]) + data
        return b"T" + struct.pack("<i", len(data)) + data

    def written(found: object) -> bytes:
        if isinstance(found, dict):
            items = b"".join(string(k.encode()) + written(v) for k, v in found.items())
            return b"}(" + items + b"u"
        if isinstance(found, str):
            return string(found.encode())
        assert isinstance(found, np.ndarray)
        little = found.astype(found.dtype.newbyteorder("<"))
        empty = once(name("numpy.core.multiarray", "_reconstruct"))
        empty += once(name("numpy", "ndarray")) + b"K\x00\x85U\x01b\x87R"
        sides = b"(" + b"".join(map(number, found.shape)) + b"t"
        code = string(found.dtype.str[1:].encode()) + b"K\x00K\x01\x87R"
        order = b"(K\x03U\x01<NNN" + 2 * b"J\xff\xff\xff\xff" + b"K\x00tb"
        kind = once(code)  # a code stands for its type
        if kind != memo[code]:
            kind = once(name("numpy", "dtype")) + kind + order
        return empty + b"(K\x01" + sides + kind + b"\x89" + string(little.tobytes()) + b"tb"

    return b"\x80\x02" + written(value) + b"."
