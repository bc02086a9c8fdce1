"""Files with the names that published checkpoints have are read, and left-overs are told."""

import pickle
import re
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.detectron2_names import from_caffe2, from_detectron2, trunk_only
from pointrend_repro.checkpoints.fit import compare_shapes, known_shapes, looks_like, shapes_of
from pointrend_repro.checkpoints.imagenet import load_imagenet_weights
from pointrend_repro.checkpoints.reading import read_checkpoint
from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.config.reading import load_variant
from pointrend_repro.data.fetch.catalogue import load_catalogue
from pointrend_repro.modeling.resnet import ResNet
from pointrend_repro.settings.backbone import BackboneSettings
from published_files import (
    PublishedBackbone,
    PublishedModel,
    Shapes,
    backbones,
    models,
    shrink,
    small_arrays,
)

VARIANTS = {
    "resnet50": "pointrend_r50_fpn_3x",
    "resnet101": "pointrend_r101_fpn_3x",
    "resnext101_32x8d": "pointrend_x101_fpn_3x",
    "resnext101_64x4d": "mask_rcnn_resnext101_fpn",
    "resnet103": "deeplabv3_r103",
}


@cache
def _trunk_shapes(backbone: str) -> Shapes:
    with torch.device("meta"):
        trunk = ResNet(backbone, norm="frozen_bn", stride_in_1x1=True, freeze_at=2)
    return shapes_of(trunk.state_dict())


class Stub(nn.Module):
    """Modules and buffers of given names, each as small as its shape shrinks to."""

    eps = 1e-5

    def __init__(self, shapes: Shapes) -> None:
        super().__init__()
        for name, shape in shapes.items():
            *path, last = name.split(".")
            module: nn.Module = self
            for step in path:
                if step not in module._modules:
                    module.add_module(step, Stub({}))
                module = module.get_submodule(step)
            module.register_buffer(last, torch.zeros(shrink(shape)))


def _write(path: Path, file: PublishedBackbone, arrays: dict[str, np.ndarray]) -> None:
    content = {"model": arrays, "matching_heuristics": True} if file.wrapped else arrays
    path.write_bytes(pickle.dumps(content, protocol=2))


def _settings(file: PublishedBackbone, path: Path) -> BackboneSettings:
    """What the paper preset's variant says of this backbone."""
    backbone = load_variant(VARIANTS[file.backbone], CONFIG_DIR).model.backbone
    return backbone.model_copy(update={"weights": str(path)})


@pytest.mark.parametrize("file", backbones(), ids=str)
def test_a_backbones_names_and_shapes_fit_the_trunk(file: PublishedBackbone) -> None:
    rename = trunk_only if file.wrapped else from_caffe2
    fit = compare_shapes(_trunk_shapes(file.backbone), rename(file.shapes))
    if "{s,b}" in file.layout:  # statistics are folded in; the loader adds neutral ones
        assert all(name.endswith(("running_mean", "running_var")) for name in fit.missing)
        fit = replace(fit, missing=[])
    assert fit.is_exact, fit


@pytest.mark.parametrize("file", backbones(), ids=str)
def test_a_training_starts_from_a_backbones_file(
    file: PublishedBackbone, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arrays = small_arrays(file.shapes)
    path = tmp_path / Path(file.file).name
    _write(path, file, arrays)
    trunk = Stub(_trunk_shapes(file.backbone))
    with caplog.at_level("INFO"):
        load_imagenet_weights(trunk, _settings(file, path))
    loaded = trunk.state_dict()
    renamed = (trunk_only if file.wrapped else from_caffe2)(arrays)
    for name, array in renamed.items():
        assert np.array_equal(loaded[name].numpy(), array), name
    assert len(renamed) == len(loaded) or "{s,b}" in file.layout
    (line,) = caplog.messages  # what is left out, in one line
    left_out = sorted(set(arrays) - {_theirs(arrays, array) for array in renamed.values()})
    said = [name for name in left_out if not name.endswith("num_batches_tracked")]
    assert line.startswith(f"{path}: {len(said)} tensors that a trunk lacks are left out: ")
    assert all(name in line for name in said[:6])
    assert ("conv1_b" in line) == ("conv1_b" in file.shapes)


def _theirs(arrays: dict[str, np.ndarray], wanted: np.ndarray) -> str:
    return next(name for name, array in arrays.items() if array is wanted)


def test_left_overs_are_told_once_a_machine(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = backbones()[0]
    _write(tmp_path / "R-50.pkl", file, small_arrays(file.shapes))
    monkeypatch.setenv("LOCAL_RANK", "1")
    with caplog.at_level("INFO"):
        load_imagenet_weights(
            Stub(_trunk_shapes("resnet50")), _settings(file, tmp_path / "R-50.pkl")
        )
    assert not caplog.messages


@pytest.mark.parametrize("missing", ["conv1_w", "res4_3_branch2b_bn_running_var"])
def test_what_a_trunk_needs_is_still_demanded(missing: str, tmp_path: Path) -> None:
    file = backbones()[0]
    arrays = small_arrays(file.shapes)
    del arrays[missing]
    _write(tmp_path / "R-50.pkl", file, arrays)
    with pytest.raises(UserError, match=r"R-50\.pkl: (does not fit|is not an ImageNet backbone)"):
        load_imagenet_weights(
            Stub(_trunk_shapes("resnet50")), _settings(file, tmp_path / "R-50.pkl")
        )


@pytest.mark.parametrize("file", models(), ids=str)
def test_a_models_names_and_shapes_fit(file: PublishedModel) -> None:
    shapes = from_detectron2(file.shapes)
    assert compare_shapes(known_shapes(file.model), shapes).is_exact
    assert looks_like(shapes) == file.model


@pytest.mark.parametrize("file", models(), ids=str)
def test_a_models_file_is_read(file: PublishedModel, tmp_path: Path) -> None:
    arrays = small_arrays(file.shapes)
    content = {"model": arrays, "__author__": "Detectron2 Model Zoo"}
    (tmp_path / "model_final.pkl").write_bytes(pickle.dumps(content, protocol=2))
    checkpoint = read_checkpoint(tmp_path / "model_final.pkl")
    assert checkpoint.source == "model"
    assert (checkpoint.pixel_mean is not None) == ("pixel_mean" in file.shapes)
    for name, array in from_detectron2(arrays).items():
        assert np.array_equal(checkpoint.tensors[name].numpy(), array), name
    assert not {"pixel_mean", "pixel_std"} & set(checkpoint.tensors)


def _files_fetched_into(folder: str) -> Iterable[str]:
    """Files of Detectron and detectron2; the others have torchvision's names
    (test_torchvision_names.py, test_res2net_names.py)."""
    return (
        name if folder == "checkpoints" else re.split("/detectron2?/", file.urls[0])[-1]
        for name, download in load_catalogue().downloads.items()
        if download.into.split("/")[0] == folder
        for file in download.files
        if "fbaipublicfiles.com" in file.urls[0]
    )


def test_every_file_that_is_fetched_has_its_list() -> None:
    assert set(_files_fetched_into("imagenet")) == {file.file for file in backbones()}
    assert set(_files_fetched_into("checkpoints")) == {file.name for file in models()}
