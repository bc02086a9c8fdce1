"""Weights as they are published: by Python 2, by NumPy before and since 2, by every protocol."""

import collections
import pickle
from pathlib import Path

import numpy as np
import pytest
from pickle_parts import python2_pickle

from pointrend_repro.checkpoints.pickles import read_pickle
from pointrend_repro.checkpoints.reading import read_checkpoint

RNG = np.random.default_rng(0)
WEIGHTS = {
    "res2_0_branch2a_w": RNG.normal(size=(4, 3, 1, 1)).astype(np.float32),
    "conv1_w": RNG.normal(size=(8, 3, 7, 7)).astype(np.float32),
    "fc1000_b": RNG.normal(size=1000).astype(np.float32),
    "iterations": np.arange(3),
}


def test_a_file_that_python_2_wrote() -> None:
    """NumPy's own tests have one; Python 2 itself is to be had nowhere any more."""
    path = Path(np.__file__).parent / "_core/tests/data/astype_copy.pkl"
    if not path.exists():
        pytest.skip("this NumPy came without its tests")
    with path.open("rb") as file:
        wanted = pickle.load(file, encoding="latin1")
    found = read_pickle(path)
    assert (found.dtype, found.shape) == (np.dtype("<f8"), (73,))
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("wrapped", [True, False])
def test_caffe2s_classifiers_of_detectron(tmp_path: Path, wrapped: bool) -> None:
    """MSRA's R-50.pkl is a dictionary of arrays, Detectron's models have `blobs` and `cfg`."""
    value = {"blobs": WEIGHTS, "cfg": "MODEL:\n  TYPE: x\n" * 99} if wrapped else WEIGHTS
    path = tmp_path / "R-50.pkl"
    path.write_bytes(python2_pickle(value))
    wanted = pickle.loads(path.read_bytes(), encoding="latin1")
    found = read_pickle(path)
    for name, array in (wanted["blobs"] if wrapped else wanted).items():
        mine = (found["blobs"] if wrapped else found)[name]
        assert mine.dtype == array.dtype
        np.testing.assert_array_equal(mine, array)
    checkpoint = read_checkpoint(path)
    assert checkpoint.source == "caffe2"
    np.testing.assert_array_equal(checkpoint.tensors["stem.conv1.weight"], WEIGHTS["conv1_w"])


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
def test_detectron2s_model_zoo(tmp_path: Path, protocol: int, core: str) -> None:
    """`model_final_*.pkl`: {"model": arrays, "__author__": ...}, with names of NumPy 1."""
    tensors = {f"backbone.fpn_output{i}.weight": WEIGHTS["conv1_w"] for i in (2, 3)}
    value = {"model": collections.OrderedDict(tensors), "__author__": "Detectron2 Model Zoo"}
    content = pickle.dumps(value, protocol)
    now = np.zeros(1).__reduce__()[0].__module__.removesuffix(".multiarray")
    if core != now and protocol < 4:  # later ones write how long a name is
        content = content.replace(now.encode(), core.encode())
        assert f"{core}.multiarray".encode() in content
    path = tmp_path / "model_final_0.pkl"
    path.write_bytes(content)
    found = read_checkpoint(path)
    assert found.source == "model"
    for i in (0, 1):
        np.testing.assert_array_equal(
            found.tensors[f"backbone.fpn.layer_blocks.{i}.0.weight"], WEIGHTS["conv1_w"]
        )


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (2, 0, 1)])
def test_arrays_in_any_order_of_memory(
    tmp_path: Path, protocol: int, axes: tuple[int, ...]
) -> None:
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(axes)
    values = [array, array[::2], array[:, :0], np.asfortranarray(array), array.astype(">f4")]
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(values, protocol))
    for found, wanted in zip(read_pickle(path), values, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("code", ["f2", "f4", "f8", "g", "i1", "i2", "i4", "i8", "u1", "u2"])
def test_every_plain_number_becomes_a_tensor(tmp_path: Path, code: str) -> None:
    array = np.arange(3).astype(code)
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"model": {"weight": array, "same": array}}))
    tensors = read_checkpoint(path).tensors
    np.testing.assert_array_equal(tensors["weight"], array.astype(float))
    assert tensors["same"] is tensors["weight"]
