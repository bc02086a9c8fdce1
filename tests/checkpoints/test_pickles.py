"""Pickles of arrays are read; a pickle that asks for anything else is refused and runs nothing."""

import collections
import io
import os
import pickle
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.pickles import read_pickle
from pointrend_repro.checkpoints.reading import read_checkpoint

DTYPES = ["float32", "float64", "float16", ">f4", "int64", "uint8", "bool", "S3", "U4"]


def _write(folder: Path, value: object, protocol: int = 4) -> Path:
    path = folder / "file.pkl"
    path.write_bytes(pickle.dumps(value, protocol))
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_come_back(tmp_path, protocol, dtype):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    value = {"model": collections.OrderedDict(a=array, b=array.T, c=array[0, 1], d=array[:0])}
    back = read_pickle(_write(tmp_path, value, protocol))["model"]
    for name, wanted in value["model"].items():
        # NumPy itself turns foreign byte orders into this machine's, by some protocols.
        assert back[name].dtype.newbyteorder("=") == wanted.dtype.newbyteorder("=")
        np.testing.assert_array_equal(back[name], wanted)


@settings(max_examples=25, deadline=None)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
        | st.binary(max_size=8),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.tuples(inner, inner),
        max_leaves=6,
    ),
    array=st_numpy.arrays(
        np.float32, st_numpy.array_shapes(max_side=3), elements=st.floats(-1, 1, width=32)
    ),
    protocol=st.integers(0, 5),
)  # fmt: skip
def test_plain_values_come_back(tmp_path_factory, value, array, protocol):
    path = _write(tmp_path_factory.mktemp("pickle"), [value, array], protocol)
    back, back_array = read_pickle(path)
    assert back == value
    np.testing.assert_array_equal(back_array, array)


def test_pickle_of_python_2(tmp_path):
    # What Python 2.7 with NumPy 1.16 wrote for {'conv1_w': np.array([1, 2], '<f4')}, protocol 2.
    content = (
        b"\x80\x02}q\x01U\x07conv1_wq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\n"
        b"ndarray\nq\x04K\x00\x85U\x01b\x87Rq\x05(K\x01K\x02\x85cnumpy\ndtype\nq\x06U\x02f4K\x00"
        b"K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"U\x08\x00\x00\x80?\x00\x00\x00@tbs."
    )
    path = tmp_path / "old.pkl"
    path.write_bytes(content)
    value = read_pickle(path)
    np.testing.assert_array_equal(value["conv1_w"], np.array([1, 2], "<f4"))


class _Call:
    """Pickles to a call of a function with arguments."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class _Subclass(np.ndarray):
    pass


def _touch(marker: Path) -> str:
    return f"touch {marker}"


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_malicious_pickles_run_nothing(tmp_path, protocol):
    marker = tmp_path / "was-here"
    attacks = {
        r"posix\.system": _Call(os.system, _touch(marker)),
        "Popen": _Call(subprocess.Popen, ["touch", str(marker)]),
        "eval": _Call(eval, f"open({str(marker)!r}, 'w')"),
        "exec": _Call(exec, f"open({str(marker)!r}, 'w')"),
        "getattr": _Call(getattr, "text", "upper"),
        "open": _Call(open, str(marker), "w"),
        r"numpy\.load": _Call(np.load, str(marker), None, True),
        "runstring": _Call(_global("numpy.testing._private.utils", "runstring"), "1", {}),
        "fromfile": _Call(np.fromfile, str(marker)),
        r"pickle\.loads": _Call(pickle.loads, pickle.dumps(_Call(os.system, _touch(marker)))),
    }
    for name, attack in attacks.items():
        path = _write(tmp_path, {"model": {"a": np.zeros(2)}, "b": [attack]}, protocol)
        with pytest.raises(UserError, match=f"refused.*{name}"):
            read_pickle(path)
        assert not marker.exists()


def _global(module: str, name: str):
    return getattr(__import__(module, fromlist=[name]), name)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"cbuiltins\neval\n.", "builtins.eval"),
        (b"c__builtin__\neval\n.", "__builtin__.eval"),
        (b"cnumpy\ndtype.__class__\n.", "numpy.dtype.__class__"),
        (b"\x80\x04\x8c\x0bcollections\x8c\x17OrderedDict.__init__.aa\x93.", "collections"),
        (b"cnumpy.core.multiarray\n_reconstruct.__globals__\n.", "__globals__"),
        (b"(S'a'\nios\nsystem\n.", "os.system"),
        (b"Psomewhere\n.", "persistent object 'somewhere'"),
        (b"cnumpy\ndtype\n(S'O'\ntR.", "numpy array of 'O'"),
        (b"cnumpy\ndtype\n(S'f4,i4'\ntR.", "numpy array"),
        (b"cnumpy.core.multiarray\n_reconstruct\n(S'a'\n(I0\ntS'b'\ntR.", "numpy array of type"),
        (b"c_codecs\nencode\n(S'a'\nS'zip'\ntR.", "'zip'"),
    ],
)
def test_names_that_are_refused(tmp_path, content, told):
    path = tmp_path / "file.pkl"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"refused.*{told}"):
        read_pickle(path)


def test_numpys_own_types_stay_as_they_are(tmp_path):
    # Sets the byte order of a dtype that NumPy would hand out as its one and only float32.
    path = tmp_path / "file.pkl"
    path.write_bytes(b"cnumpy\ndtype\n(S'f4'\ntR(I3\nS'>'\nNNNI-1\nI-1\nI0\ntb.")
    read_pickle(path)
    assert np.dtype("f4").isnative
    assert np.array([1.0], "f4").tobytes() == np.float32(1).tobytes()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_truncated_pickle(tmp_path, share):
    whole = pickle.dumps({"model": {"a": np.arange(100.0)}})
    path = tmp_path / "cut.pkl"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match=r"cut\.pkl: not a whole pickle"):
        read_pickle(path)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_pickle(tmp_path / "none.pkl")
    with pytest.raises(UserError, match="is a folder"):
        read_pickle(tmp_path)


def test_malicious_torch_file_runs_nothing(tmp_path):
    import torch

    marker, path = tmp_path / "was-here", tmp_path / "file.pth"
    buffer = io.BytesIO()
    torch.save({"model": {"a": torch.zeros(2), "b": _Call(os.system, _touch(marker))}}, buffer)
    path.write_bytes(buffer.getvalue())
    with pytest.raises(UserError, match=r"refused.*posix\.system"):
        read_checkpoint(path)
    assert not marker.exists()
