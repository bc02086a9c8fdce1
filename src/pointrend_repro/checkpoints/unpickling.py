"""Runs a pickle's program so that it can only put plain values together.

A pickle is a program for a small machine: it may name any function of any installed module and call
it, change objects, and make large objects from small input. Here names lead only to what the caller
allows, objects are filled in only by the caller's `build`, keys are plain values, and the memory
that a program takes is bounded by the size of its file.

The machine is the standard library's own, in its Python version: the C version keeps its memo in an
array whose size is any number that a file of nine bytes names.
"""

import pickle
import struct
from collections.abc import Callable, Mapping
from typing import Any

from pointrend_repro.checkpoints.limits import (
    LONGEST_SHOWN,
    Bounded,
    Budget,
    Readable,
    RefusedError,
    plain_keys,
    require,
    shown,
)

# A checkpoint of a thousand arrays takes about forty thousand.
_MOST_OPERATIONS = 1_000_000
_BYTES_PER_ENTRY = 100


class PlainUnpickler(pickle._Unpickler):
    """Reads plain values and containers, and what `admitted` and `build` make of other names.

    Args:
        file: a binary file, read from its current position; several pickles may follow each other.
        size: of the whole file, in bytes.
        admitted: what a (module, name) in the pickle stands for. Callables in it may be called.
    """

    # From the machine in the standard library, which is untyped.
    stack: list[Any]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]
    read: Callable[[int], bytes]
    readline: Callable[[], bytes]

    def __init__(self, file: Readable, size: int, admitted: Mapping[tuple[str, str], Any]) -> None:
        super().__init__(Bounded(file, size), encoding="latin1")
        self.budget = Budget(size)
        self._operations = 0
        self._admitted = {
            ("collections", "OrderedDict"): self._mapping,
            ("_codecs", "encode"): self._encode,
            ("__builtin__", "bytes"): _no_bytes,
            **admitted,
        }

    def find_class(self, module: str, name: str) -> Any:
        """Look a name up among the allowed ones, and nowhere else."""
        try:
            return self._admitted[module, name]
        except KeyError:
            raise RefusedError(f"{module}.{name}"[:LONGEST_SHOWN]) from None

    def persistent_load(self, pid: Any) -> Any:
        """Refuse objects that are stored outside the pickle."""
        raise RefusedError(f"the persistent object {shown(pid)}")

    def build(self, value: Any, state: Any) -> None:
        """Give an object its state; a subclass does so for the objects that it has made.

        Attributes that PyTorch adds to its dictionaries are ignored.

        Raises:
            RefusedError: it is neither.
        """
        if not (isinstance(value, dict) and isinstance(state, dict)):
            raise RefusedError(f"a change to {shown(value)}")

    def count_operation(self) -> None:
        """Count one step of the program.

        Raises:
            RefusedError: there were more than a checkpoint needs.
        """
        self._operations += 1
        if self._operations > _MOST_OPERATIONS:
            raise RefusedError(f"more than {_MOST_OPERATIONS} operations")

    def _call(self) -> None:
        arguments = require(self.stack.pop(), tuple)
        function = self.stack.pop()
        if not callable(function):
            raise RefusedError(f"a call of {shown(function)}")
        self.append(function(*arguments))

    def _build(self) -> None:
        state = self.stack.pop()
        self.build(self.stack[-1], state)

    def _append(self) -> None:
        value = self.stack.pop()
        require(self.stack[-1], list).append(value)

    def _append_all(self) -> None:
        values = self.pop_mark()
        require(self.stack[-1], list).extend(values)

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._update([key, value])

    def _set_items(self) -> None:
        self._update(self.pop_mark())

    def _make_dict(self) -> None:
        values = self.pop_mark()
        self.append({})
        self._update(values)

    def _update(self, keys_and_values: list[Any]) -> None:
        keys, values = keys_and_values[::2], keys_and_values[1::2]
        require(self.stack[-1], dict).update(zip(plain_keys(keys), values, strict=True))

    def _add_all(self) -> None:
        values = plain_keys(self.pop_mark())
        require(self.stack[-1], set).update(values)

    def _make_frozen_set(self) -> None:
        self.append(frozenset(plain_keys(self.pop_mark())))

    def _make_bytearray(self) -> None:
        """Read the bytes before allocating as many as the pickle says."""
        (length,) = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(length)))

    def _refuse_instance(self) -> None:
        """Name the class, which the next two lines of the pickle give."""
        module, name = (self.readline()[:-1].decode("utf-8") for _ in range(2))
        self.find_class(module, name)
        raise RefusedError(f"an object of {module}.{name}"[:LONGEST_SHOWN])

    def _refuse(self) -> None:
        raise RefusedError("a new object of a class")

    def _mapping(self, items: Any = ()) -> dict[Any, Any]:
        """Stand in for `OrderedDict`: a dictionary keeps its order too."""
        pairs = [require(item, tuple, list) for item in require(items, tuple, list)]
        self.budget.spend(_BYTES_PER_ENTRY * len(pairs))
        return dict(zip(plain_keys([key for key, _ in pairs]), (v for _, v in pairs), strict=True))

    def _encode(self, text: Any, encoding: Any = "latin1") -> bytes:
        """Rebuild bytes as protocols 0 to 2 write them."""
        if encoding != "latin1":
            raise RefusedError(f"bytes in the encoding {shown(encoding)}")
        self.budget.spend(len(require(text, str)))
        return bytes(text.encode("latin1"))


def _no_bytes() -> bytes:
    """Rebuild empty bytes as protocols 0 to 2 write them."""
    return b""


def _counted(operation: Callable[[Any], None]) -> Callable[[Any], None]:
    def run(machine: Any) -> None:
        machine.count_operation()
        operation(machine)

    return run


_REPLACED: dict[bytes, Callable[[Any], None]] = {
    pickle.REDUCE: PlainUnpickler._call,
    pickle.BUILD: PlainUnpickler._build,
    pickle.APPEND: PlainUnpickler._append,
    pickle.APPENDS: PlainUnpickler._append_all,
    pickle.SETITEM: PlainUnpickler._set_item,
    pickle.SETITEMS: PlainUnpickler._set_items,
    pickle.DICT: PlainUnpickler._make_dict,
    pickle.ADDITEMS: PlainUnpickler._add_all,
    pickle.FROZENSET: PlainUnpickler._make_frozen_set,
    pickle.BYTEARRAY8: PlainUnpickler._make_bytearray,
    pickle.INST: PlainUnpickler._refuse_instance,
    pickle.OBJ: PlainUnpickler._refuse,
    pickle.NEWOBJ: PlainUnpickler._refuse,
    pickle.NEWOBJ_EX: PlainUnpickler._refuse,
    pickle.EXT1: PlainUnpickler._refuse,
    pickle.EXT2: PlainUnpickler._refuse,
    pickle.EXT4: PlainUnpickler._refuse,
}
PlainUnpickler.dispatch = {
    code: _counted(operation)
    for code, operation in (
        pickle._Unpickler.dispatch | {code[0]: run for code, run in _REPLACED.items()}
    ).items()
}
