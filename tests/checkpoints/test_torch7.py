"""Torch7's files become tensors and plain containers; nothing in them runs or allocates at will.

The files are written here, in the format that `checkpoints/torch7.py` describes with its sources:
nobody offers Torch7's own any more.
"""

import struct
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch7_writer import CPU_TYPES, Made, Storage, Writer, torch7_file

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints import torch7
from pointrend_repro.checkpoints.torch7 import Record, read_torch7


def read(folder: Path, content: bytes) -> Any:
    path = folder / "model.t7"
    path.write_bytes(content)
    return read_torch7(path)


def refusal(folder: Path, content: bytes) -> str:
    with pytest.raises(UserError) as error:
        read(folder, content)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_plain_values(tmp_path: Path) -> None:
    value = {"a": 1, "b": 2.5, 1: True, 2: None, 0: "text", -1.5: {"in": {}}, "é": False}
    # Lua's strings are bytes.
    expected = value | {"\u00c3\u00a9": False}
    del expected["é"]
    assert read(tmp_path, torch7_file(value)) == expected


@pytest.mark.parametrize("dtype", CPU_TYPES)
@pytest.mark.parametrize("on_gpu", [False, True])
def test_each_type_of_tensor(tmp_path: Path, dtype: torch.dtype, on_gpu: bool) -> None:
    tensor = torch.arange(6).reshape(2, 3).to(dtype)
    found = read(tmp_path, torch7_file(tensor, on_gpu=on_gpu))
    assert found.dtype == dtype
    assert torch.equal(found, tensor)


def test_the_names_of_types_are_torch7s(tmp_path: Path) -> None:
    """A `torch.CudaTensor` holds floats (cutorch's README); there is no `CudaFloatTensor`."""
    made = torch7_file(torch.ones(1), on_gpu=True)
    assert b"torch.CudaTensor" in made
    assert b"torch.CudaStorage" in made
    wrong = made.replace(b"\x10\0\0\0torch.CudaTensor", b"\x15\0\0\0torch.CudaFloatTensor")
    assert "an object of" in refusal(tmp_path, wrong)


def test_strides_and_offsets(tmp_path: Path) -> None:
    whole = torch.arange(60.0).reshape(3, 4, 5)
    views = {1: whole.transpose(0, 2), 2: whole[1:, ::2, 1], 3: whole[2, 3, 4:], 4: whole}
    found = read(tmp_path, torch7_file(views))
    for key, view in views.items():
        assert torch.equal(found[key], view)
        assert found[key].stride() == view.stride()
    assert len({tensor.untyped_storage().data_ptr() for tensor in found.values()}) == 1


def test_what_is_shared_stays_shared(tmp_path: Path) -> None:
    layer = Made("nn.Linear", {"weight": torch.ones(2, 2)})
    found = read(tmp_path, torch7_file({"neths": {1: layer}, "refs": {1: {1: layer}}}))
    assert found["neths"][1] is found["refs"][1][1]
    assert isinstance(found["neths"][1], Record)


def test_what_holds_itself_is_read_once(tmp_path: Path) -> None:
    table: dict[str, Any] = {"name": "outer"}
    record = Made("nn.Sequential", {"parent": table})
    record.fields["self"] = record
    table["itself"], table["record"] = table, record
    found = read(tmp_path, torch7_file(table))
    assert found["itself"] is found
    assert found["record"].fields["self"] is found["record"]
    assert found["record"].fields["parent"] is found


def test_unknown_classes_are_only_names(tmp_path: Path) -> None:
    found = read(tmp_path, torch7_file(Made("os.execute", {"command": "rm", 1: torch.ones(3)})))
    assert (type(found), found.kind) == (Record, "os.execute")
    assert found.fields["command"] == "rm"
    # A class that writes something else than its fields cannot be passed over.
    opaque = Writer()
    opaque.ints(4, 1)
    opaque.text("V 1")
    opaque.text("tds.Hash")
    opaque.write(3)
    assert "an object of 'tds.Hash' that is not made of fields" in refusal(tmp_path, opaque.content)


def test_functions_are_passed_over(tmp_path: Path) -> None:
    for tag in (6, 7, 8):
        code = Writer()
        code.ints(3, 1, 2)
        code.write("f")
        code.ints(tag) if tag == 6 else code.ints(tag, 2)
        code.text("\x1bLJ byte code")
        code.ints(3, 9, 1)  # the upvalues
        code.write("up")
        code.write(1)
        code.write("after")
        code.write(7)
        found = read(tmp_path, code.content)
        assert (found["f"].kind, found["f"].fields, found["after"]) == ("function", {}, 7)


def test_files_from_before_versions(tmp_path: Path) -> None:
    made = torch7_file(Made("nn.ReLU", {"inplace": True}))
    assert read(tmp_path, made.replace(b"\x03\0\0\0V 1", b"")).kind == "nn.ReLU"


def test_tensors_without_elements(tmp_path: Path) -> None:
    """`torch.Tensor()` has no dimensions, and no storage before one is needed."""
    for stored in (None, Storage(torch.ones(2))):
        empty = Writer()
        empty.ints(4, 100)
        empty.text("V 1")
        empty.text("torch.FloatTensor")
        empty.ints(0)
        empty.longs(1)
        empty.write(stored)
        assert read(tmp_path, empty.content).shape == (0,)


def tensor_of(
    sizes: list[int], strides: list[int], offset: int = 1, stored: int = 6, dtype: Any = None
) -> bytes:
    writer = Writer()
    writer.ints(4, 100)
    writer.text("V 1")
    writer.text("torch.FloatTensor")
    writer.ints(len(sizes))
    writer.longs(*sizes, *strides, offset)
    return writer.write(Storage(torch.arange(stored).to(dtype or torch.float32))).content


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (tensor_of([2, 4], [4, 1]), "outside of its storage"),
        (tensor_of([6], [1], offset=2), "outside of its storage"),
        (tensor_of([6], [1], offset=0), "negative"),
        (tensor_of([1 << 62, 1 << 62], [0, 0], stored=0), "outside of its storage"),
        (tensor_of([2], [1 << 62]), "outside of its storage"),
        (tensor_of([-2, -3], [1, 1]), "negative"),
        (tensor_of([2, 2], [2, -1], offset=6), "negative"),
        (tensor_of([1 << 40], [0]), "more memory than its size explains"),
        (tensor_of([6], [1], dtype=torch.float64), "a tensor of torch.float32 in"),
        (tensor_of([1] * 17, [1] * 17), "17 dimensions"),
    ],
)
def test_a_tensor_lies_in_its_storage(tmp_path: Path, content: bytes, reason: str) -> None:
    assert reason in refusal(tmp_path, content)


def test_expanded_tensors_are_read_while_they_are_small(tmp_path: Path) -> None:
    assert read(tmp_path, tensor_of([100, 6], [0, 1])).shape == (100, 6)


def sized(*head: int, longs: tuple[int, ...] = (), name: str | None = None) -> bytes:
    writer = Writer()
    writer.ints(*head)
    if name is not None:
        writer.text("V 1")
        writer.text(name)
    writer.longs(*longs)
    return writer.content + b"\0" * 100


HUGE = (1 << 31) - 1


@pytest.mark.parametrize(
    "content",
    [
        sized(2, HUGE),
        sized(2, -1),
        sized(3, 1, HUGE),
        sized(6, HUGE),
        sized(8, 1, HUGE),
        sized(4, 1, HUGE),
        sized(4, 1, name="torch.FloatStorage", longs=(1 << 40,)),
        sized(4, 1, name="torch.FloatStorage", longs=(1 << 62,)),
        sized(4, 1, name="torch.DoubleStorage", longs=(-1,)),
    ],
)
def test_sizes_beyond_the_file_allocate_nothing(tmp_path: Path, content: bytes) -> None:
    tracemalloc.start()
    message = refusal(tmp_path, content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "bytes are asked for" in message or "as a key" in message
    assert peak < 1 << 20


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    made = torch7_file({"model": Made("nn.X", {"w": torch.ones(2, 3), "f": True}), "n": 2.5})
    for length in range(len(made)):
        assert "not a whole Torch7 file" in refusal(tmp_path, made[:length])
    assert "1 bytes follow its end" in refusal(tmp_path, made + b"\0")


def test_other_files_are_refused(tmp_path: Path) -> None:
    ascii_format = b"4\n1\n3\nV 1\n18\ntorch.DoubleTensor\n"
    for content in (b"", b"PK\x03\x04", b"\x80\x02}q\x00.", ascii_format, b"\0" * 3):
        assert "not a whole Torch7 file" in refusal(tmp_path, content)
    with pytest.raises(UserError, match="no such file"):
        read_torch7(tmp_path / "none.t7")
    with pytest.raises(UserError, match="is a folder"):
        read_torch7(tmp_path)


def test_values_nested_too_deeply(tmp_path: Path) -> None:
    nested: Any = {}
    for _ in range(200):
        nested = {1: nested}
    assert "more than 100 deep" in refusal(tmp_path, torch7_file(nested))


def test_too_many_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch7, "_MOST_VALUES", 50)
    assert "more than 50 values" in refusal(tmp_path, torch7_file(dict.fromkeys(range(100))))


def test_keys_are_text_or_numbers_once(tmp_path: Path) -> None:
    for key in (None, True, {}, float("nan"), torch.ones(1)):
        table = Writer()
        table.ints(3, 100, 1)
        table.write(key)
        table.write("value")
        assert "as a key" in refusal(tmp_path, table.content)
    twice = Writer()
    twice.ints(3, 1, 2)
    for value in (1, 2):
        twice.write("key")
        twice.write(value)
    assert "'key' as a key, or twice" in refusal(tmp_path, twice.content)


def test_an_index_means_one_kind_of_value(tmp_path: Path) -> None:
    table = Writer()
    table.ints(3, 1, 1)
    table.write("itself")
    table.ints(4, 1)  # an object, but index 1 is the table
    assert "value 1 as a record" in refusal(tmp_path, table.content)
    # A tensor whose storage is the tensor.
    tensor = Writer()
    tensor.ints(4, 1)
    tensor.text("torch.FloatTensor")
    tensor.ints(1)
    tensor.longs(1, 1, 1)
    tensor.ints(4, 1)
    assert "value 1 as a record" in refusal(tmp_path, tensor.content)


VALID = torch7_file(
    {
        "model": Made("nn.DeepMask", {"w": torch.ones(4, 3)[:, 1], "t": {1: torch.ones(2).half()}}),
        "config": {"iSz": 160, "f": 1.5},
    }
)


@given(st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), max_size=8))
def test_damaged_bytes_are_read_or_refused_in_a_line(changes: list[tuple[int, int]]) -> None:
    content = bytearray(VALID)
    for place, value in changes:
        content[place] = value
    _read_or_refused(bytes(content))


@given(
    st.lists(
        st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 8, -1, 16, 1 << 20, HUGE]).map(
            lambda n: struct.pack("<i", n)
        )
        | st.sampled_from([b"\3\0\0\0V 1", b"\x11\0\0\0torch.FloatTensor", b"\0" * 8]),
        max_size=30,
    )
)
def test_random_tags_are_read_or_refused_in_a_line(parts: list[bytes]) -> None:
    _read_or_refused(b"".join(parts))


def _read_or_refused(content: bytes) -> None:
    found, message = None, ""
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = read(Path(folder), content)
        except UserError as error:
            message = str(error)
    assert "\n" not in message
    if isinstance(found, Tensor):
        assert found.clone().numel() * found.itemsize <= 4 * len(content) + (1 << 20)
