"""PyTorch's files: read as `torch.load` reads them, and hostile ones refused in a line."""

import bz2
import collections
import io
import pickle
import struct
import tarfile
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pickle_parts import name, number, text
from torch import nn

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints import unpickling
from pointrend_repro.checkpoints.reading import read_checkpoint
from pointrend_repro.checkpoints.torch_files import read_torch_file

FORMATS = {"zip": True, "old": False}


def trained() -> dict[str, Any]:
    """What a trainer saves: a model, its optimizer and schedule."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 3])
    model(torch.ones(1, 3, 5, 5)).sum().backward()
    optimizer.step()
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": schedule.state_dict(),
        "iteration": 7,
        "__author__": "x",
    }


def values() -> dict[str, Any]:
    base = torch.arange(24.0).reshape(2, 3, 4)
    tagged, tagged_parameter = torch.ones(2), nn.Parameter(torch.ones(2))
    tagged.note, tagged_parameter.note = "x", 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantised = torch.quantize_per_tensor(torch.ones(3), 1.0, 0, torch.qint8)
        rows = torch.eye(3).to_sparse_csr()
    return {
        "trained": trained(),
        "view": base[1, 1:],
        "transposed": base.permute(2, 0, 1),
        "expanded": torch.ones(1).expand(5, 5),
        "shared": [base, base[0], base],
        "parameter": nn.Parameter(torch.ones(2)),
        "tagged": tagged,
        "tagged parameter": tagged_parameter,
        "empty": torch.empty(0),
        "number": torch.tensor(3.0),
        "half": torch.ones(2).half(),
        "bfloat16": torch.ones(2).bfloat16(),
        "integers": torch.arange(3),
        "booleans": torch.ones(2).bool(),
        "complex": torch.ones(2, dtype=torch.complex64).conj(),
        "meta": torch.ones(2, device="meta"),
        "sparse": torch.ones(3).to_sparse(),
        "rows": rows,
        "quantised": quantised,
        "bytes": b"\xff\x00abc",
        "plain": [1, 2.5, None, True, (1, "ä"), {1: {2}}, 1 << 70, 1j, bytearray(b"a")],
        "ordered": collections.OrderedDict(a=1),
        "counter": collections.Counter({3: 1}),
        "types": [torch.float32, torch.Size([2, 3]), torch.device("cpu")],
    }


def same(mine: Any, theirs: Any) -> bool:
    if isinstance(theirs, torch.Tensor):
        assert (type(mine), mine.dtype, mine.shape) == (type(theirs), theirs.dtype, theirs.shape)
        assert (mine.layout, mine.device) == (theirs.layout, theirs.device)
        assert vars(mine).get("note") == vars(theirs).get("note")
        if theirs.is_meta:
            return True
        return torch.equal(*(x.dequantize() if x.is_quantized else x for x in dense(mine, theirs)))
    if isinstance(theirs, dict):
        keys = list(mine) == list(theirs)
        return keys and all(same(mine[key], value) for key, value in theirs.items())
    if isinstance(theirs, list | tuple):
        return len(mine) == len(theirs) and all(map(same, mine, theirs))
    return type(mine) is type(theirs) and bool(mine == theirs)


def dense(*tensors: torch.Tensor) -> list[torch.Tensor]:
    return [t if t.layout is torch.strided else t.to_dense() for t in tensors]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", values())
def test_what_torch_reads(tmp_path: Path, form: str, kind: str) -> None:
    path = tmp_path / "a.pth"
    torch.save({"x": values()[kind]}, path, _use_new_zipfile_serialization=FORMATS[form])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = torch.load(path, weights_only=True)
    assert same(read_torch_file(path), theirs)


def repacked(content: bytes, change: Callable[[str, bytes], bytes], method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w", method) as new:
        for member in old.namelist():
            new.writestr(member, change(member, old.read(member)))
    return buffer.getvalue()


def test_a_model_that_was_saved_wrapped(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(4, 2))
    path = tmp_path / "a.pth"
    torch.save({"state_dict": nn.DataParallel(model).state_dict()}, path)
    found = read_checkpoint(path).tensors
    assert set(found) == set(model.state_dict())
    assert all(found[name].equal(each) for name, each in model.state_dict().items())


def test_a_module_of_that_name_keeps_it(tmp_path: Path) -> None:
    torch.save({"module.a": torch.ones(1), "b": torch.ones(1)}, tmp_path / "a.pth")
    assert set(read_checkpoint(tmp_path / "a.pth").tensors) == {"module.a", "b"}


def saved(value: Any, *, zipped: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def test_a_compressed_archive(tmp_path: Path) -> None:
    content = repacked(saved(trained()), lambda _, data: data, zipfile.ZIP_DEFLATED)
    (tmp_path / "a.pth").write_bytes(content)
    assert same(read_torch_file(tmp_path / "a.pth"), trained())


@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_byte_orders(tmp_path: Path, byteorder: str) -> None:
    def turn(member: str, data: bytes) -> bytes:
        if member.endswith("/byteorder"):
            return byteorder.encode()
        return data[::-1] if "/data/" in member and byteorder == "big" else data

    content = repacked(saved({"a": torch.tensor([1.5])}), turn, zipfile.ZIP_STORED)
    (tmp_path / "a.pth").write_bytes(content)
    assert read_torch_file(tmp_path / "a.pth")["a"].tolist() == [1.5]


def refusal(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_checkpoint(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    """PyTorch reads past wrong checksums."""
    content = bytearray(saved({"a": torch.full((100,), 2.0)}))
    content[content.index(struct.pack("<f", 2.0) * 100) + 1] ^= 1
    assert "not a whole PyTorch file (BadZipFile)" in refusal(tmp_path / "a.pth", bytes(content))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.99])
def test_truncated(tmp_path: Path, form: str, share: float) -> None:
    whole = saved(trained(), zipped=FORMATS[form])
    told = refusal(tmp_path / "a.pth", whole[: int(share * len(whole))])
    assert "not a whole PyTorch file" in told or "more memory than its size explains" in told


def storage(kind: str, elements: int, key: str = "0") -> bytes:
    named = name("torch", f"{kind}Storage") + text(key) + text("cpu") + number(elements)
    return b"(" + text("storage") + named + b"tQ"


def rebuilt(storage: bytes, offset: int, sides: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    made = name("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + number(offset)
    for numbers in (sides, strides):
        made += b"(" + b"".join(map(number, numbers)) + b"t"
    return made + b"\x89" + name("collections", "OrderedDict") + b")Rt" + b"R"


def archive(value: bytes, size: int = 16, **members: bytes) -> bytes:
    """An archive whose pickle is {"model": {"a": value}}, with one storage of `size` bytes."""
    content = b"\x80\x02}" + text("model") + b"}" + text("a") + value + b"ss."
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("x/data.pkl", content)
        made.writestr("x/byteorder", "little")
        made.writestr("x/data/0", b"\0" * size)
        made.writestr("x/version", "3\n")
        for member, data in members.items():
            made.writestr(member, data)
    return buffer.getvalue()


def test_the_pieces_make_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(archive(rebuilt(storage("Float", 4), 0, (2, 2), (2, 1))))
    assert same(read_torch_file(path), {"model": {"a": torch.zeros(2, 2)}})


BIG = 1 << 31


@pytest.mark.parametrize(
    ("value", "told"),
    [
        # Memory that nobody has written to, or any amount of it.
        (name("torch", "FloatTensor") + number(BIG) + b"\x85R", "torch.FloatTensor"),
        (name("torch", "Tensor") + number(BIG) + b"\x85R", "a call of"),
        (name("torch", "FloatStorage") + number(BIG) + b"\x85R", "a call of"),
        (name("torch.storage", "UntypedStorage") + number(BIG) + b"\x85R", "a call of"),
        (name("torch", "Tensor") + number(BIG) + b"\x85\x81", "a new object"),
        (name("__builtin__", "bytearray") + number(BIG) + b"\x85R", "instead of a bytes"),
        (name("torch._utils", "_rebuild_nested_tensor") + b")R", "_rebuild_nested_tensor"),
        (name("torch._utils", "_rebuild_wrapper_subclass") + b")R", "_rebuild_wrapper_subclass"),
        (
            name("torch._tensor", "_rebuild_from_type_v2")
            + b"("
            + name("__builtin__", "bytearray")
            + name("torch", "Tensor")
            + number(BIG)
            + b"\x85}tR",
            "a call of",
        ),
        # Outside of the storage.
        (rebuilt(storage("Float", 4), 0, (5,), (1,)), "outside of storage '0'"),
        (rebuilt(storage("Float", 4), 1, (4,), (1,)), "outside of storage '0'"),
        (rebuilt(storage("Float", 4), 0, (2, 2), (3, 1)), "outside of storage '0'"),
        (rebuilt(storage("Float", 4), 0, (4,), (-1,)), "as a size"),
        (rebuilt(storage("Float", 4), -1, (1,), (1,)), "as a size"),
        (rebuilt(storage("Float", 1000), 0, (1,), (1,)), "4000 bytes of storage '0'"),
        (rebuilt(storage("Double", 4), 0, (1,), (1,)), "32 bytes of storage '0'"),
        (rebuilt(storage("Float", 4, "1"), 0, (1,), (1,)), "16 bytes of storage '1'"),
        # The numbers of its storage, again and again: nothing, until it is copied or compared.
        (rebuilt(storage("Float", 4), 0, (BIG,), (0,)), "more memory than its size explains"),
        (rebuilt(storage("Float", 4), 0, (3, BIG), (1, 0)), "more memory than its size"),
        # The machine.
        (name("os", "system") + text("true") + b"\x85R", "os.system"),
        (name("torch", "load") + text("x") + b"\x85R", "torch.load"),
        (b"Nr\xff\xff\xff\xff" + b"0" + b"]" * 3000, "operations"),
        (name("_codecs", "encode") + text("x") + text("zip") + b"\x86R", "'zip'"),
    ],
)
def test_pickles_that_ask_for_more(
    tmp_path: Path, value: bytes, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpickling, "_MOST_OPERATIONS", 2000)
    assert told in refusal(tmp_path / "a.pth", archive(value))


@pytest.mark.parametrize("form", FORMATS)
def test_repeated_numbers_take_no_more_than_the_size_explains(tmp_path: Path, form: str) -> None:
    many = {f"a{k}": torch.ones(1).expand(1 << 17) for k in range(4)}  # 2 MB, as copies
    few = {name: many[name] for name in ("a0", "a1")}
    told = refusal(tmp_path / "a.pth", saved(many, zipped=FORMATS[form]))
    assert "more memory than its size explains" in told
    (tmp_path / "a.pth").write_bytes(saved(few, zipped=FORMATS[form]))
    assert same(read_torch_file(tmp_path / "a.pth"), few)


def test_the_old_format_fills_every_storage(tmp_path: Path) -> None:
    """Its storages follow the pickles, and PyTorch makes room for them beforehand."""
    whole = saved({"a": torch.ones(4), "b": torch.zeros(4)}, zipped=False)
    parts, file = [], io.BytesIO(whole)
    machine = pickle._Unpickler  # stops where a pickle ends
    for _ in range(5):
        start = file.tell()
        reader = machine(file, encoding="latin1")
        reader.persistent_load = lambda pid: pid
        reader.find_class = lambda *names: lambda *arguments: names
        last = reader.load()
        parts.append(whole[start : file.tell()])
    rest = whole[file.tell() :]
    one = pickle.dumps([last[0]], 2)
    assert "does not hold" in refusal(tmp_path / "a.pth", b"".join(parts[:4]) + one + rest)
    at = parts[3].index(number(4), parts[3].index(b"cpu"))
    grown = parts[3][:at] + number(1 << 30) + parts[3][at + len(number(4)) :]
    told = refusal(tmp_path / "a.pth", b"".join(parts[:3]) + grown + parts[4] + rest)
    assert "more memory than its size explains" in told


def test_an_archive_takes_no_more_than_its_size_explains(tmp_path: Path) -> None:
    content = saved({"model": {"a": torch.zeros(1 << 23)}})
    bomb = repacked(content, lambda _, data: data, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 100_000
    assert "more memory than its size explains" in refusal(tmp_path / "a.pth", bomb)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_method_that_unpacks_all_at_once_is_refused(tmp_path: Path, method: int) -> None:
    """Python's reader has no limit for it, whatever size the member declares."""
    content = repacked(saved({"a": torch.ones(3)}), lambda _, data: data, method)
    assert "compressed by another method than deflate" in refusal(tmp_path / "a.pth", content)


def peak_of(path: Path, content: bytes) -> tuple[str, int]:
    """The message of a refusal, and the bytes of Python objects that it took at most."""
    tracemalloc.start()
    told = refusal(path, content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return told, peak


@pytest.mark.parametrize("member", ["x/data.pkl", "x/data/0"])
def test_a_member_that_lies_about_its_size_takes_no_more_memory(
    tmp_path: Path, member: str
) -> None:
    """Deflate shrinks zeros to a thousandth; the list of contents says 100 bytes."""
    value = rebuilt(storage("Float", 25), 0, (1,), (1,))
    zeros = {"x/data.pkl": b"\0" * (64 << 20), "x/data/0": b"\0" * (64 << 20)}
    content = bytearray(
        repacked(archive(value), lambda n, d: zeros[n] if n == member else d, zipfile.ZIP_DEFLATED)
    )
    entry = content.rindex(b"PK\1\2", 0, content.rindex(member.encode()))
    content[entry + 24 : entry + 28] = struct.pack("<I", 100)
    told, peak = peak_of(tmp_path / "a.pth", bytes(content))
    assert "not a whole PyTorch file" in told
    assert peak < 16 << 20


def test_a_member_that_is_shorter_than_declared(tmp_path: Path) -> None:
    content = bytearray(
        repacked(
            archive(rebuilt(storage("Float", 8), 0, (1,), (1,))),
            lambda _, data: data,
            zipfile.ZIP_DEFLATED,
        )
    )
    entry = content.rindex(b"PK\1\2", 0, content.rindex(b"x/data/0"))
    content[entry + 24 : entry + 28] = struct.pack("<I", 32)
    assert "not a whole PyTorch file" in refusal(tmp_path / "a.pth", bytes(content))


def test_a_compressed_tar_is_not_unpacked(tmp_path: Path) -> None:
    """Its first header names a name of 64 MB, which a reader of tar files would read whole."""
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 64 << 20
    packed = bz2.compress(header.tobuf(tarfile.GNU_FORMAT) + b"\0" * header.size)
    told, peak = peak_of(tmp_path / "a.pth", packed)
    assert "not a whole PyTorch file" in told or "refused" in told
    assert peak < 16 << 20


@pytest.mark.parametrize("member", ["x/data.pkl", "x/DATA.pkl", "X/data/0"])
def test_no_member_can_be_taken_for_another(tmp_path: Path, member: str) -> None:
    """PyTorch looks members up without regard to case."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = archive(rebuilt(storage("Float", 4), 0, (1,), (1,)), **{member: b"x"})
    assert "two members of one name" in refusal(tmp_path / "a.pth", content)


def test_other_files_of_pytorch(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "script.pt"))
    told = refusal(tmp_path / "script.pt", (tmp_path / "script.pt").read_bytes())
    assert "TorchScript program" in told
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for member in ("sys_info", "pickle", "storages", "tensors"):
            made.addfile(tarfile.TarInfo(member))
    assert "format of 2016" in refusal(tmp_path / "a.pth", buffer.getvalue())
    assert "without data.pkl" in refusal(tmp_path / "a.pth", zip_of("x/readme"))


def zip_of(member: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr(member, "x")
    return buffer.getvalue()
