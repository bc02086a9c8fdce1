"""Pickles that want memory which is not theirs, or too much of it, are refused in a line."""

import pickle
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from pickle_parts import array, checkpoint, dtype, name, number, raw, state, text

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints import unpickling
from pointrend_repro.checkpoints.pickles import read_pickle
from pointrend_repro.checkpoints.reading import read_checkpoint

F4 = dtype("f4")
FOUR_BYTES = raw(b"\0" * 4)
SUB_ARRAY = F4 + number(1000) + b"\x86NN"
FIELDS = b"N" + text("x") + b"\x85}" + text("x") + dtype("f8") + number(1 << 30) + b"\x86s"


def read(folder: Path, content: bytes) -> object:
    path = folder / "file.pkl"
    path.write_bytes(content)
    return read_pickle(path)


def refusal(folder: Path, content: bytes) -> str:
    with pytest.raises(UserError) as error:
        read(folder, content)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_pieces_make_a_checkpoint(tmp_path: Path) -> None:
    made = checkpoint({"a": array(F4 + state(), (1,), raw(struct.pack("<f", 2.5)))})
    found = read(tmp_path, made)
    assert found == pickle.loads(made)
    assert found["model"]["a"].tolist() == [2.5]


@pytest.mark.parametrize(
    ("code", "chosen"),
    [
        ("f4", state(parts=SUB_ARRAY)),
        ("f4", state(parts=FIELDS)),
        ("f4", state(parts=b"N" + text("x") + b"\x85N")),
        ("f4", state(flags=1)),
        ("i8", state(flags=1)),  # "holds Python objects": its bytes were taken for addresses
        ("i8", state(flags=63)),
        ("f4", state(sizes=(1 << 30, 1))),
        ("f4", state(sizes=(8, -1))),
        ("S1", state("|", sizes=(1 << 30, 1))),
        ("S1", state("|", sizes=(-8, 1))),
        ("S1", state("|", sizes=(1, 1), flags=1)),
        ("f4", state(version=4)),
        ("f4", state("x")),
        ("f4", b"Nb"),
        ("f4", b")b"),
        ("f4", b"}" + text("itemsize") + number(9) + b"sb"),
    ],
)
def test_a_type_has_no_state_but_its_byte_order(tmp_path: Path, code: str, chosen: bytes) -> None:
    content = checkpoint({"a": array(dtype(code) + chosen, (1,), FOUR_BYTES)})
    assert "with a state of its own" in refusal(tmp_path, content)
    buffer = name("numpy._core.numeric", "_frombuffer") + b"(" + FOUR_BYTES + dtype(code) + chosen
    content = checkpoint({"a": buffer + number(1) + b"\x85" + text("C") + b"tR"})
    assert "with a state of its own" in refusal(tmp_path, content)


@pytest.mark.parametrize("parts", [SUB_ARRAY, FIELDS])
def test_nor_when_an_array_has_it_already(tmp_path: Path, parts: bytes) -> None:
    kept = F4 + b"\x94"
    late = array(kept, (1,), FOUR_BYTES) + b"h\x00" + state(parts=parts) + b"0"
    assert "with a state of its own" in refusal(tmp_path, checkpoint({"a": late}))
    turned = array(kept, (1,), raw(b"\0\0\0\1")) + b"h\x00" + state(">") + b"0"
    assert read(tmp_path, checkpoint({"a": turned}))["model"]["a"].dtype == np.dtype("<f4")


@pytest.mark.parametrize("code", ["O", "V8", "f4,f4", "S0", "U999999999", "M8", "", "f" * 99999])
def test_types_that_are_not_in_a_checkpoint(tmp_path: Path, code: str) -> None:
    content = checkpoint({"a": array(dtype(code) + state(), (0,), raw(b""))})
    told = refusal(tmp_path, content)
    assert "a numpy array of" in told
    assert len(told) < 400


@pytest.mark.parametrize("shape", [(2,), (1 << 40,), (-1,), (-1, -1), (1 << 62, 1 << 62), (0,)])
def test_an_array_has_the_bytes_of_its_shape(tmp_path: Path, shape: tuple[int, ...]) -> None:
    content = checkpoint({"a": array(F4 + state(), shape, FOUR_BYTES)})
    assert "does not fit its 4 bytes" in refusal(tmp_path, content)


def test_an_array_is_filled_once(tmp_path: Path) -> None:
    filled = array(F4 + state(), (1,), FOUR_BYTES) + b"(" + number(1) + number(1) + b"\x85"
    again = filled + F4 + b"\x89" + FOUR_BYTES + b"tb"
    assert "a change to an object of type ndarray" in refusal(tmp_path, checkpoint({"a": again}))


def nested_tuples(depth: int) -> bytes:
    """A tuple of two of a tuple of two ...: its hash and its text take 2 ** depth steps."""
    return b")" + b"2\x86" * depth


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"}" + nested_tuples(60) + b"Ns.", "as a key"),
        (b"}(" + nested_tuples(60) + b"Nu.", "as a key"),
        (b"(" + nested_tuples(60) + b"Nd.", "as a key"),
        (b"\x8f(" + nested_tuples(60) + b"\x90.", "as a key"),
        (b"(" + nested_tuples(60) + b"\x91.", "as a key"),
        (name("collections", "OrderedDict") + nested_tuples(60) + b"\x85R.", "as a key|place of"),
        (name("numpy", "dtype") + nested_tuples(60) + b"\x85R.", "object of type tuple"),
        (nested_tuples(60) + b"Q.", "persistent object an object of type tuple"),
        (nested_tuples(60) + b")R.", "a call of an object of type tuple"),
        (array(F4 + state(), (1,), FOUR_BYTES) + b"NNs.", "ndarray instead of a dict"),
        (array(F4 + state(), (1,), FOUR_BYTES) + b"Na.", "ndarray instead of a list"),
        (b"\x82\x01.", "a new object"),
        (name("collections", "OrderedDict") + b")\x81.", "a new object"),
        (name("_codecs", "encode") + b"N}" + text("__defaults__") + b"Ns\x86b.", "a change to"),
        (b"N" * 2001 + b".", "more than 2000 operations"),
        (b"]" * 2001 + b".", "more than 2000 operations"),
    ],
)
def test_programs_that_would_not_end(
    tmp_path: Path, content: bytes, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpickling, "_MOST_OPERATIONS", 2000)
    with pytest.raises(UserError, match=told) as error:
        read(tmp_path, b"\x80\x04" + content)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize("terminal", ["\x1b[31m", "\u202e", "a\nb", "\0"])
def test_what_it_says_is_one_line_of_print(tmp_path: Path, terminal: str) -> None:
    named = b"\x80\x04" + text(terminal) + text("x") + b"\x93."
    assert refusal(tmp_path, named).isprintable()
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"model": {terminal: np.zeros(2)}}))
    with pytest.raises(UserError, match="whose name is not text"):
        read_checkpoint(tmp_path / "a.pkl")


def repeated(function: bytes, argument: bytes, count: int) -> bytes:
    """A list of what a function makes of the same argument, again and again."""
    calls = (b"h\x00" + b"h\x01" + b"\x85R") * count
    return b"\x80\x02" + function + b"q\x000" + argument + b"q\x010" + b"(" + calls + b"l."


def swapped_arrays(count: int) -> bytes:
    data = raw(b"A" * 1_000_000) + b"q\x000" + F4 + state(">") + b"q\x010"
    return b"\x80\x02" + data + b"(" + array(b"h\x01", (250_000,), b"h\x00") * count + b"l."


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04Nr\x00\x00\x00\x10.",  # a memo's index of 2 ** 28: 4.6 GB in the C machine
        b"\x80\x04Nr\xff\xff\xff\xff.",
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 33) + b"abc.",
        b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"N.",
        b"\x80\x04X\xff\xff\xff\xffabc.",
        b"\x80\x04\x96" + struct.pack("<Q", 1 << 40) + b"abc.",
        repeated(name("_codecs", "encode"), text("x" * 100_000), 500),
        repeated(
            name("collections", "OrderedDict"), b"(" + (text("k") + b"N\x86") * 5000 + b"t", 500
        ),
        swapped_arrays(100),
    ],
    ids=["memo", "memo2", "bytes", "frame", "text", "array", "encode", "copies", "swapped"],
)
def test_memory_is_bounded_by_the_files_size(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.pkl"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        read_pickle(path)
    except UserError as error:
        assert "MemoryError" not in str(error)  # noqa: PT017  what is read is right as well
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 10 * len(content) + 4_000_000
