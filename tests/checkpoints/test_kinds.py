"""Weights that fit a model in name and shape, and are no numbers that it can compute with."""

import json
import pickle
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from one_storage import views_of_one_storage
from safetensors.torch import save_file
from test_own_files import save_narrow
from torch import Tensor

import pointrend_repro as pr
from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.detectron2_names import to_detectron2
from pointrend_repro.checkpoints.fit import known_shapes
from pointrend_repro.checkpoints.imagenet import load_imagenet_weights
from pointrend_repro.checkpoints.kinds import kind_of, require_weights
from pointrend_repro.checkpoints.reading import read_checkpoint
from pointrend_repro.checkpoints.saved_models import load_saved_model
from pointrend_repro.modeling.resnet import ResNet
from pointrend_repro.settings.backbone import BackboneSettings

MODEL = "mask_rcnn_r50_fpn_coco"
NAME = "box_head.bbox_pred.bias"
THEIRS = "roi_heads.box_predictor.bbox_pred.bias"


def with_one_wrong(values: Tensor) -> Tensor:
    changed = values.clone()
    changed[7] = torch.nan
    return changed


def quantised(values: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(values, 1.0, 0, torch.qint8)


CHANGES: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "nan": (lambda x: x * torch.nan, "holds 320 values of 320 that are NaN or infinite"),
    "infinite": (lambda x: x - torch.inf, "holds 320 values of 320"),
    "one": (with_one_wrong, "holds 1 values of 320"),
    "complex": (lambda x: x.to(torch.complex64), "is complex"),
    "boolean": (lambda x: x.bool(), "is boolean"),
    "int8": (lambda x: x.to(torch.int8), "is integer"),
    "int64": (lambda x: x.long(), "is integer"),
    "sparse": (lambda x: x.to_sparse(), "is sparse"),
    "quantised": (quantised, "is quantised"),
    "meta": (lambda x: x.to("meta"), "is without values"),
}


def tensors() -> dict[str, Tensor]:
    """Of the whole model, with detectron2's names."""
    return views_of_one_storage(to_detectron2(known_shapes(MODEL)))


@pytest.mark.parametrize("kind", CHANGES)
def test_a_detectron2_checkpoint(tmp_path: Path, kind: str) -> None:
    change, told = CHANGES[kind]
    state = tensors() | {THEIRS: change(torch.ones(320))}
    torch.save({"model": state}, tmp_path / "model.pth")
    with pytest.raises(UserError, match=rf"model\.pth: {NAME} {told}") as error:
        pr.load_model(MODEL, tmp_path / "model.pth")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["nan", "complex", "boolean", "int8"])
def test_as_a_pickle_of_arrays(tmp_path: Path, kind: str) -> None:
    change, told = CHANGES[kind]
    arrays = {THEIRS: change(torch.ones(320)).numpy()}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"model": arrays}))
    found = read_checkpoint(tmp_path / "a.pkl")
    with pytest.raises(UserError, match=told):
        require_weights(tmp_path / "a.pkl", found.tensors)


@pytest.mark.parametrize("kind", ["nan", "complex", "boolean", "int8", "one"])
def test_a_model_of_ours(tmp_path: Path, kind: str) -> None:
    change, told = CHANGES[kind]
    path = tmp_path / "model.safetensors"
    model = save_narrow(path, {"kind": "4conv", "channels": 8})
    with torch.no_grad():
        name = "backbone.bottom_up.stem.conv1.weight"
        state = model.state_dict() | {name: change(model.state_dict()[name])}
    save_file({k: v.contiguous() for k, v in state.items()}, path, metadata_of(path))
    with pytest.raises(UserError, match=rf"stem\.conv1\.weight {told.split()[0]}"):
        load_saved_model(path)


def metadata_of(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return dict(file.metadata())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_plain_float_is_a_weight(tmp_path: Path, dtype: torch.dtype) -> None:
    require_weights(tmp_path, {"a": torch.ones(3, dtype=dtype), "b": torch.empty(0, dtype=dtype)})
    require_weights(tmp_path, {"a": torch.ones(3).to(torch.float8_e4m3fn)})
    require_weights(tmp_path, {"norm.num_batches_tracked": torch.tensor(3)})


@pytest.mark.parametrize(
    ("kind", "bits", "told"),
    [
        ("F4", 4, "is packed"),
        ("F6_E2M3", 6, "not a whole safetensors file"),
        ("C64", 64, "is complex"),
        ("U16", 16, "is integer"),
        ("BOOL", 8, "is boolean"),
        ("XYZ", 8, "not a whole safetensors file"),
    ],
)
def test_every_kind_that_safetensors_has(tmp_path: Path, kind: str, bits: int, told: str) -> None:
    header = json.dumps({"a": {"dtype": kind, "shape": [8], "data_offsets": [0, bits]}}).encode()
    content = struct.pack("<Q", len(header)) + header + bytes(bits)
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=told):
        require_weights(tmp_path, read_checkpoint(tmp_path / "a.safetensors").tensors)


@pytest.mark.parametrize("name", ["pixel_mean", "pixel_std"])
@pytest.mark.parametrize(
    "values",
    [
        torch.zeros(1).expand(1 << 18),
        torch.ones(3, dtype=torch.complex64),
        torch.ones(3).bool(),
        torch.ones(3, device="meta"),
        torch.ones(3).to_sparse(),
        quantised(torch.ones(3)),
        torch.ones(2),
        torch.ones(()),
        torch.ones(0),
        torch.tensor([1.0, torch.nan, 1.0]),
        torch.tensor([1.0, torch.inf, 1.0]),
    ],
    ids=lambda x: f"{kind_of(x)}{tuple(x.shape)}",
)
def test_pixel_statistics_are_three_numbers(tmp_path: Path, name: str, values: Tensor) -> None:
    torch.save({"model": {name: values, "a": torch.ones(2)}}, tmp_path / "a.pth")
    with pytest.raises(UserError, match=rf"a\.pth: its {name} is not three numbers"):
        read_checkpoint(tmp_path / "a.pth")


def test_a_deviation_is_positive(tmp_path: Path) -> None:
    for values in ([1.0, 0.0, 1.0], [1.0, -1.0, 1.0]):
        torch.save({"model": {"pixel_std": torch.tensor(values)}}, tmp_path / "a.pth")
        with pytest.raises(UserError, match="pixel_std"):
            read_checkpoint(tmp_path / "a.pth")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("shape", [(3,), (3, 1, 1)])
def test_pixel_statistics_of_detectron2(
    tmp_path: Path, dtype: type[np.generic], shape: tuple[int, ...]
) -> None:
    mean = np.array([103.53, 116.28, 123.675]).astype(dtype).reshape(shape)
    content = {"model": {"pixel_mean": mean, "a": np.ones(2, np.float32)}}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    found = read_checkpoint(tmp_path / "a.pkl").pixel_mean
    assert found == pytest.approx(mean.flatten(), abs=1e-3)


def test_detectron_s_mean_keeps_its_decimals(tmp_path: Path) -> None:
    mean = np.array([102.9801, 115.9465, 122.7717], np.float32).reshape(3, 1, 1)
    content = {"model": {"pixel_mean": mean, "a": np.ones(2, np.float32)}}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    assert read_checkpoint(tmp_path / "a.pkl").pixel_mean == (102.9801, 115.9465, 122.7717)


@pytest.mark.parametrize("kind", ["one", "complex", "int8", "sparse", "quantised", "meta"])
def test_a_trunk_to_train_from(tmp_path: Path, kind: str) -> None:
    change, told = CHANGES[kind]
    path = tmp_path / "trunk.pth"
    settings = BackboneSettings(name="resnet18_narrow", weights=str(path))
    trunk = ResNet("resnet18_narrow", norm="frozen_bn", stride_in_1x1=True, freeze_at=2)
    state = trunk.state_dict()
    name = "res5.1.conv2.norm.bias"
    torch.save({"model": state | {name: change(state[name])}}, path)
    with pytest.raises(UserError, match=rf"trunk\.pth: {name} {told.split()[0]}"):
        load_imagenet_weights(trunk, settings)


@pytest.mark.parametrize(
    "content",
    [
        {"conv1_w": np.ones((64, 3, 7, 7), np.float32)},
        {"conv1_w": np.ones(1), "res2_0_branch2b_w": np.ones(())},
    ],
)
def test_a_caffe2_file_without_what_tells_its_kind(
    tmp_path: Path, content: dict[str, np.ndarray]
) -> None:
    path = tmp_path / "R-50.pkl"
    path.write_bytes(pickle.dumps(content))
    trunk = ResNet("resnet50", norm="frozen_bn", stride_in_1x1=True, freeze_at=2)
    with pytest.raises(UserError, match=r"R-50\.pkl: does not fit backbone resnet50"):
        load_imagenet_weights(trunk, BackboneSettings(name="resnet50", weights=str(path)))
