"""Random and damaged pickles, read under a memory limit: `python weights_fuzzer.py EXAMPLES`.

Run as a process of its own, since what it looks for would end the process. It fails where a file
neither is read nor refused in a line, is read into more than it explains, or is read from memory
that the file has not filled.
"""

import collections
import io
import logging
import pickle
import resource
import struct
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pickle_parts import array, dtype, name, number, python2_pickle, raw, state, text

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.kinds import require_weights
from pointrend_repro.checkpoints.pickles import read_pickle
from pointrend_repro.checkpoints.reading import Checkpoint, read_checkpoint
from pointrend_repro.checkpoints.recipes import require_recipe
from pointrend_repro.checkpoints.torch_files import read_torch_file
from pointrend_repro.settings.backbone import BackboneSettings

ADDRESS_SPACE_MB = 2000  # beyond what the imports take
RESIDENT_MB = 500
FILLING = 0x41

Outcome = collections.Counter[str]


NUMPY_NAMES = [
    name("numpy", "dtype"),
    name("numpy", "ndarray"),
    name("numpy.core.multiarray", "_reconstruct"),
    name("numpy._core.multiarray", "scalar"),
    name("numpy._core.numeric", "_frombuffer"),
    name("_codecs", "encode"),
    name("collections", "OrderedDict"),
    name("__builtin__", "bytes"),
]
TORCH_NAMES = [
    name("torch._utils", function)
    for function in (
        "_rebuild_tensor_v2",
        "_rebuild_tensor_v3",
        "_rebuild_parameter",
        "_rebuild_qtensor",
        "_rebuild_sparse_tensor",
        "_rebuild_meta_tensor_no_storage",
        "_rebuild_nested_tensor",
        "_rebuild_wrapper_subclass",
    )
] + [
    name("torch._tensor", "_rebuild_from_type_v2"),
    name("torch.nn.parameter", "Parameter"),
    name("torch", "FloatStorage"),
    name("torch", "LongStorage"),
    name("torch", "FloatTensor"),
    name("torch", "Tensor"),
    name("torch", "float64"),
    name("torch", "Size"),
    name("torch.storage", "UntypedStorage"),
    name("__builtin__", "bytearray"),
    name("__builtin__", "set"),
    name("collections", "Counter"),
]
DANGEROUS = [name("os", "system"), name("builtins", "eval"), name("numpy", "fromfile")]

SIZES = [0, 1, 2, 3, 4, 8, 16, 255, 1 << 16, 1 << 20, 1 << 28, (1 << 31) - 1, 1 << 33, 1 << 62, -1]
PLAIN = [b"N", b"\x88", b"\x89", b")", b"]", b"}", b"\x8f", raw(b"A" * 16), raw(b"A" * 4000)]
TEXTS = ["f4", "i8", "S8", "U4", "O", "V8", "f4,f4", "b1", "c16", "<", ">", "|", "a", "latin1", "K"]
TEXTS += ["storage", "cpu", "0", "model", "pixel_mean", "pixel_std", "res2_0_branch2b_w", "conv1_w"]
STEPS = [bytes([op]) for op in b"(tR\x85\x86\x87bausedlo0120\x81\x94\x90\x91Q"]
DTYPE = dtype("f4")
STATES = [
    state(parts=parts, flags=flags)
    for parts in (b"NNN", DTYPE + number(1 << 20) + b"\x86NN", b"N" + text("x") + b"\x85}")
    for flags in (0, 1, 63)
]


def tensor(count: int, stride: int, elements: int) -> bytes:
    storage = b"(" + text("storage") + name("torch", "FloatStorage") + text("0") + text("cpu")
    storage += number(elements) + b"tQ"
    shape = number(count) + b"\x85" + number(stride) + b"\x85"
    made = name("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + number(0) + shape + b"\x89"
    return made + name("collections", "OrderedDict") + b")Rt" + b"R"


fragments = st.one_of(
    st.sampled_from(PLAIN + STEPS + STATES + NUMPY_NAMES + TORCH_NAMES + DANGEROUS + [DTYPE]),
    st.sampled_from(TEXTS).map(text),
    st.sampled_from(SIZES).map(number),
    st.sampled_from(SIZES[1:12]).map(lambda i: b"r" + struct.pack("<I", i)),
    st.integers(0, 3).map(lambda i: b"q" + bytes([i])),
    st.integers(0, 3).map(lambda i: b"h" + bytes([i])),
    st.builds(
        array,
        st.sampled_from([DTYPE, *(DTYPE + state for state in STATES)]),
        st.sampled_from(SIZES).map(lambda side: (side,)),
        st.sampled_from([raw(b"A" * 16), raw(b"A" * 4000), b"h\x00"]),
    ),
    st.builds(tensor, *[st.sampled_from(SIZES)] * 3),
    st.builds(
        lambda step, size: step + struct.pack("<Q", size % (1 << 64)),
        st.sampled_from([b"\x8e", b"\x96", b"\x8d", b"\x95"]),
        st.sampled_from(SIZES),
    ),
    st.binary(min_size=1, max_size=6),
)
programs = st.lists(fragments, max_size=25).map(lambda parts: b"\x80\x02" + b"".join(parts) + b".")
states = st.lists(st.tuples(st.sampled_from(TEXTS), fragments), min_size=1, max_size=4).map(
    lambda items: b"\x80\x02}(" + b"".join(text(key) + value for key, value in items) + b"u."
)


def real_pickles() -> list[bytes]:
    arrays = {
        "conv1_w": np.full((2, 3), 2.0, np.float32),
        "b": np.full(3, 1.0, ">f8"),
        "c": np.full((2, 2), 3.0, np.float16).T,
        "d": np.float64(4.0),
    }
    values = [arrays, {"model": collections.OrderedDict(arrays), "__author__": "x", "n": [1, (2,)]}]
    old = {"blobs": {key: np.ones(80, np.float32) for key in ("conv1_w", "conv1_b")}, "cfg": "x"}
    files = [pickle.dumps(value, protocol) for value in values for protocol in range(6)]
    return [*files, python2_pickle(old)]


def real_torch_files() -> list[bytes]:
    weight = torch.full((4, 3), 0.0)
    weight.view(torch.uint8).fill_(FILLING)
    state: dict[str, Any] = {"a": weight, "b": torch.nn.Parameter(weight[1:]), "c": weight.T}
    state |= {"q": torch.Size([3]), "o": {"lr": 0.1, "n": [1]}, "d": torch.float32}
    files = []
    for zipped in (True, False):
        buffer = io.BytesIO()
        torch.save({"model": state}, buffer, _use_new_zipfile_serialization=zipped)
        files.append(buffer.getvalue())
    return files


@st.composite
def mutations(draw: st.DrawFn, bases: list[bytes]) -> bytes:
    content = bytearray(draw(st.sampled_from(bases)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        length = draw(st.sampled_from([0, 1, 2, 4, 8, 30]))
        other = draw(st.sampled_from(bases))
        at = draw(st.integers(0, len(other)))
        new = draw(st.one_of(fragments, st.just(other[at : at + 40]), st.binary(max_size=4)))
        content[start : start + length] = new
    return bytes(content)


def archive_of(data_pickle: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x/data.pkl", data_pickle)
        archive.writestr("x/byteorder", "little")
        archive.writestr("x/data/0", bytes([FILLING]) * 48)
        archive.writestr("x/version", "3\n")
    return buffer.getvalue()


def parts_of(value: Any) -> list[Any]:
    """All objects in plain containers, each once."""
    seen: dict[int, Any] = {}
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if id(found) not in seen:
            seen[id(found)] = found
            if isinstance(found, dict):
                waiting += [*found.keys(), *found.values()]
            elif isinstance(found, list | tuple | set | frozenset):
                waiting += found
    return list(seen.values())


def check(read: Callable[[Path], Any], path: Path, content: bytes) -> tuple[str, Any]:
    """Read a file; whatever is no result and no `UserError` goes on to hypothesis."""
    path.write_bytes(content)
    try:
        return "read", read(path)
    except UserError as error:
        told = str(error)
        assert told.isprintable()
        assert len(told) < 700
        assert "MemoryError" not in told
        return "refused" if "refused" in told else "not whole", None


def odd_tensors() -> dict[str, torch.Tensor]:
    """Tensors that are no weights, or have no axis or no number along one."""
    plain = torch.zeros(3, 3)
    shapes = {f"shape {shape}": torch.zeros(shape) for shape in [(), (0,), (3,), (0, 3), (3, 0)]}
    layouts = {"COO": plain.to_sparse(), "CSR": plain.to_sparse_csr(), "meta": plain.to("meta")}
    dtypes = (torch.complex64, torch.bool, torch.int64, torch.float8_e4m3fn, torch.bfloat16)
    return {
        **shapes,
        **layouts,
        **{str(dtype): torch.ones(3).to(dtype) for dtype in dtypes},
        "quantised": torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.quint8),
        "kernels": torch.zeros(64, 64, 3, 3),
        "points": torch.zeros(3, 3, 1),
    }


# What is looked at, or turned, before tensors are known to be weights.
LOOKED_AT = {
    "mmdetection 1": [
        "bbox_head.fc_cls.weight",
        "bbox_head.fc_cls.bias",
        "bbox_head.fc_reg.weight",
        "mask_head.conv_logits.weight",
        "point_rend_roihead.mask_point_head.fc1.weight",
        "point_rend_roihead.mask_coarse_head.prediction.bias",
    ],
    "torchvision": [
        "layer1.0.conv2.weight",
        "layer1.0.bn1.running_mean",
        "layer1.0.bn1.running_var",
        "bn1.running_var",
    ],
    "Caffe2": ["res2_0_branch2b_w", "res2_0_branch2b_bn_s"],
    "detectron2": ["pixel_mean", "pixel_std", "roi_heads.box_predictor.cls_score.weight"],
}
TELLS_THE_KIND = {
    "mmdetection 1": "backbone.layer1.0.conv1.weight",
    "torchvision": "layer1.0.conv1.weight",
    "Caffe2": "conv1_w",
    "detectron2": "roi_heads.box_predictor.cls_score.bias",
}


@st.composite
def odd_states(draw: st.DrawFn) -> dict[str, torch.Tensor]:
    kind = draw(st.sampled_from(list(LOOKED_AT)))
    tensors = odd_tensors()
    odd = st.sampled_from(list(tensors)).map(tensors.__getitem__)
    names = draw(st.lists(st.sampled_from(LOOKED_AT[kind]), unique=True))
    return {name: draw(odd) for name in [TELLS_THE_KIND[kind], *names]}


def check_odd(folder: Path, outcomes: Outcome, state: dict[str, torch.Tensor]) -> None:
    def use(path: Path) -> None:
        found = read_checkpoint(path)
        if found.source not in ("model", "mmdetection1"):
            require_recipe(path, found, BackboneSettings(name="resnet50"))
        require_weights(path, found.tensors)

    buffer = io.BytesIO()
    torch.save(state, buffer)
    outcome, _ = check(use, folder / "x.pth", buffer.getvalue())
    outcomes[f"odd {outcome}"] += 1


def check_numpy(folder: Path, outcomes: Outcome, content: bytes) -> None:
    outcome, value = check(read_pickle, folder / "x.pkl", content)
    outcomes[f"pickle {outcome}"] += 1
    arrays = [part for part in parts_of(value) if isinstance(part, np.ndarray)]
    assert sum(part.nbytes for part in arrays) <= 4 * len(content) + (1 << 20)
    for part in arrays:
        assert part.dtype.kind in "biufcSU"
        assert part.dtype.subdtype is None
        part.tobytes()
    outcome, found = check(read_checkpoint, folder / "x.pkl", content)
    outcomes[f"checkpoint {outcome}"] += 1
    assert found is None or isinstance(found, Checkpoint)


def check_torch(folder: Path, outcomes: Outcome, content: bytes) -> None:
    outcome, value = check(read_torch_file, folder / "x.pth", content)
    outcomes[f"torch {outcome}"] += 1
    for part in parts_of(value):
        if isinstance(part, torch.Tensor) and part.layout is torch.strided and not part.is_meta:
            data = bytes(part.untyped_storage())
            assert len(data) <= len(content)
            assert set(data) <= {FILLING} or not content.startswith(b"PK"), "unwritten memory"
    outcome, _ = check(read_checkpoint, folder / "x.pth", content)
    outcomes[f"torch checkpoint {outcome}"] += 1


def main(examples: int) -> Outcome:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    outcomes: Outcome = collections.Counter()
    folder = Path(tempfile.mkdtemp())
    rounds = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=examples < 5000,
        suppress_health_check=list(HealthCheck),
    )
    zipped, old = real_torch_files()
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        (data_pickle,) = (archive.read(n) for n in archive.namelist() if n.endswith("data.pkl"))
    numpy_files = st.one_of(programs, states, mutations(real_pickles()))
    torch_pickles = st.one_of(programs, states, mutations([data_pickle])).map(archive_of)
    torch_files = st.one_of(torch_pickles, mutations([zipped, old]))

    @rounds
    @given(numpy_files)
    def numpy_round(content: bytes) -> None:
        check_numpy(folder, outcomes, content)

    @rounds
    @given(torch_files)
    def torch_round(content: bytes) -> None:
        check_torch(folder, outcomes, content)

    @rounds
    @given(odd_states())
    def odd_round(state: dict[str, torch.Tensor]) -> None:
        check_odd(folder, outcomes, state)

    numpy_round()
    torch_round()
    odd_round()
    return outcomes


def limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ADDRESS_SPACE_MB * 1_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    if sys.platform == "linux":
        limit_memory()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for kind, count in sorted(main(int(sys.argv[1])).items()):
        print(kind, count)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
    grown /= 1000 if sys.platform == "darwin" else 1  # which counts bytes
    print("grown_mb", round(grown))
    assert grown < RESIDENT_MB
