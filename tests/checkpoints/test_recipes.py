"""Which pixels and stride an ImageNet classifier's file demands, and when it can only warn."""

import hashlib
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints import recipes
from pointrend_repro.checkpoints.reading import read_checkpoint
from pointrend_repro.checkpoints.recipes import require_recipe
from pointrend_repro.settings.backbone import BackboneSettings

RGB = {
    "channel_order": "RGB",
    "pixel_mean": (123.675, 116.280, 103.530),
    "pixel_std": (58.395, 57.120, 57.375),
    "stride_in_1x1": False,
}
BGR: dict[str, Any] = {}  # the settings' own values
DETECTRON = {"pixel_mean": (102.9801, 115.9465, 122.7717)}
RESNEXT = {"pixel_std": (57.375, 57.120, 58.395), "stride_in_1x1": False}


def resnet(width: int = 64, *, channels: int = 64, folded: bool = False) -> dict[str, Tensor]:
    """What the rules look at of a ResNet under torchvision's names, without its classifier."""
    statistics = (torch.zeros(4), torch.ones(4)) if folded else (torch.rand(4), torch.rand(4) + 1)
    return {
        "conv1.weight": torch.rand(64, 3, 7, 7),
        "layer1.0.conv1.weight": torch.rand(64, 64, 1, 1),
        "layer1.0.conv2.weight": torch.rand(channels, width, 3, 3),
        "bn1.running_mean": statistics[0],
        "bn1.running_var": statistics[1],
        "bn1.num_batches_tracked": torch.tensor(0),
    }


CONV1 = {"conv1.bias": torch.zeros(64)}
ALL = CONV1 | {"layer1.0.conv1.bias": torch.zeros(64), "layer1.0.downsample.0.bias": torch.zeros(4)}
FC = {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}

# A file, the settings that it takes, and others that it refuses.
TOLD = {
    "open-mmlab's resnet50_msra": (resnet() | CONV1, [BGR, DETECTRON], [RGB]),
    "its resnet50_caffe": (resnet(folded=True) | ALL, [BGR, DETECTRON], [RGB]),
    "Caffe's with its classifier": (resnet() | CONV1 | FC, [BGR], [RGB]),
    "Detectron's without biases": (resnet(folded=True), [BGR, DETECTRON], [RGB]),
    "torchvision's": (resnet() | FC, [RGB], [BGR, DETECTRON]),
    "FAIR's X-101-32x8d": (resnet(8, channels=256, folded=True), [RESNEXT], [BGR, RGB]),
    "the same with biases": (resnet(8, channels=256) | ALL, [RESNEXT], [BGR, RGB]),
    "torchvision's X-101-32x8d": (resnet(8, channels=256) | FC, [RGB], [RESNEXT]),
    "open-mmlab's X-101-64x4d": (resnet(4, channels=256), [RGB], [BGR, RESNEXT]),
}
SILENT = {
    "open-mmlab's resnet101_msra": resnet(),
    "an X-101-32x8d without its classifier": resnet(8, channels=256),
    "a VGG": {f"{layer}.weight": torch.rand(2, 3) for layer in ("features.0", "classifier.0")},
    "a trunk": {"stem.conv1.weight": torch.rand(64, 3, 7, 7)},
}


def require(path: Path, tensors: dict[str, Any], changes: dict[str, Any]) -> None:
    torch.save(tensors, path)
    settings = BackboneSettings(name="resnet50", weights=str(path), **changes)
    require_recipe(path, read_checkpoint(path), settings)


@pytest.mark.parametrize("name", TOLD)
def test_what_a_file_tells_is_demanded(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tensors, right, wrong = TOLD[name]
    for changes in right:
        require(tmp_path / "a.pth", tensors, changes)
    assert caplog.records == []
    for changes in wrong:
        with pytest.raises(UserError, match=r"need other settings in model\.backbone: "):
            require(tmp_path / "a.pth", tensors, changes)


def test_the_advice_for_caffes_weights_is_caffes(tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        require(tmp_path / "a.pth", resnet() | CONV1, RGB)
    assert str(refused.value).endswith(
        "model.backbone: channel_order: BGR, pixel_mean: [103.53, 116.28, 123.675], "
        "pixel_std: [1.0, 1.0, 1.0], stride_in_1x1: true"
    )


@pytest.mark.parametrize("changes", [BGR, RGB], ids=["BGR", "RGB"])
@pytest.mark.parametrize("name", SILENT)
def test_a_file_that_tells_nothing_demands_nothing_and_brings_a_warning(
    name: str, changes: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    require(tmp_path / "a.pth", SILENT[name], changes)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    order, stride = ("BGR", "true") if changes is BGR else ("RGB", "false")
    line = record.getMessage()
    assert line.startswith(f"{tmp_path / 'a.pth'}: does not tell ")
    assert f"assumed, as in model.backbone: channel_order: {order}, pixel_mean: [" in line
    assert line.endswith(f"stride_in_1x1: {stride}")


def test_one_process_of_a_machine_warns(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    require(tmp_path / "a.pth", resnet(), BGR)
    assert caplog.records == []


def test_torchvisions_vgg_is_known_by_its_hash(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.pth"
    torch.save(SILENT["a VGG"], path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(recipes, "_TORCHVISION_VGG", digest[:8])
    found = read_checkpoint(path)
    require_recipe(path, found, BackboneSettings(name="vgg16", weights=str(path), **RGB))
    with pytest.raises(UserError, match=r"need other settings.*channel_order: RGB"):
        require_recipe(path, found, BackboneSettings(name="vgg16", weights=str(path)))
    assert caplog.records == []


@pytest.mark.parametrize("author", ["torchvision", "someone"])
def test_an_author_who_is_named_is_believed(author: str, tmp_path: Path) -> None:
    """detectron2's tools/convert-torchvision-to-d2.py names it, and renames everything."""
    content = {"model": SILENT["a trunk"], "__author__": author}
    if author == "torchvision":
        with pytest.raises(UserError, match="channel_order: RGB"):
            require(tmp_path / "a.pth", content, BGR)
    else:
        require(tmp_path / "a.pth", content, BGR)


@pytest.mark.parametrize(
    "mean",
    [
        torch.zeros(4).to_sparse(),
        torch.zeros(4, device="meta"),
        torch.zeros(4).to(torch.float8_e4m3fn),
    ],
    ids=["sparse", "meta", "eight bits"],
)
def test_statistics_that_are_no_plain_numbers_tell_nothing_or_what_they_are(
    mean: Tensor, tmp_path: Path
) -> None:
    """What is no weight is refused when it is loaded (test_kinds.py)."""
    path = tmp_path / "a.pth"
    torch.save(resnet(folded=True) | {"bn1.running_mean": mean}, path)
    require_recipe(path, read_checkpoint(path), BackboneSettings(name="resnet50"))
