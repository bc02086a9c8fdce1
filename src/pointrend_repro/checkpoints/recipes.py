"""What an ImageNet classifier was trained with: pixels, and the place of the stride.

Names do not tell for a ResNet or a VGG: those of Caffe, converted for PyTorch, are named as
torchvision's. Of a ResNet, other things in the file do:

- Biases of convolutions are Caffe's. open-mmlab's resnet50_msra has that of `conv1`
  (ligang-cs/PseCo, issue 7), and its resnet50_caffe has all (open-mmlab/mmdetection, issue 3340).
- A classifier `fc` is torchvision's: both files above have none.
- Norms with mean 0 and variance 1 throughout are Caffe2's, folded into scale and bias
  (mmdetection 3.3, tools/model_converters/detectron2pytorch.py).

What has none of these may be either: open-mmlab's resnet101_msra, whose original has no biases
(KaimingHe/deep-residual-networks, prototxt), or a trunk saved without its classifier.

A VGG always has biases, and Caffe's (zenodo.org/records/4515252, vgg16_caffe.pth) has just the
names of torchvision's, which is therefore known by its hash alone. open-mmlab's vgg16_caffe is
another network, SSD's, and is refused.
"""

import hashlib
import logging
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.kinds import kind_of
from pointrend_repro.checkpoints.reading import Checkpoint
from pointrend_repro.settings.backbone import BackboneSettings

_log = logging.getLogger(__name__)

_BGR_MEAN = (103.530, 116.280, 123.675)
_DETECTRON_MEAN = (102.9801, 115.9465, 122.7717)
_RGB = {
    "channel_order": "RGB",
    "pixel_mean": (123.675, 116.280, 103.530),
    "pixel_std": (58.395, 57.120, 57.375),
    "stride_in_1x1": False,
}
_MSRA = {
    "channel_order": "BGR",
    "pixel_mean": _BGR_MEAN,
    "pixel_std": (1.0, 1.0, 1.0),
    "stride_in_1x1": True,
}
_FAIR_RESNEXT = {
    "channel_order": "BGR",
    "pixel_mean": _BGR_MEAN,
    "pixel_std": (57.375, 57.120, 58.395),
    "stride_in_1x1": False,
}
# Its authors' Torch weights, for pixels as Detectron feeds them (lib/core/config.py).
_TORCH_RESNEXT = {
    "channel_order": "BGR",
    "pixel_mean": _DETECTRON_MEAN,
    "pixel_std": (1.0, 1.0, 1.0),
    "stride_in_1x1": False,
}
# By the width of a group in res2: have one group, X-101-32x8d and -64x4d many.
_OF_GROUP_WIDTH = {64: _MSRA, 8: _FAIR_RESNEXT, 4: _TORCH_RESNEXT}

_GROUPED = "res2.0.conv2.weight"
_BIAS = re.compile(r"(conv\d|downsample\.0)\.bias$")
# The digits of its SHA-256 with which torchvision's vgg16-397923af.pth is named.
_TORCHVISION_VGG = "397923af"


def require_recipe(path: Path, checkpoint: Checkpoint, settings: BackboneSettings) -> None:
    """Compare settings with what the weights were trained with.

    Where the file does not tell, a warning says what is assumed, once per machine.

    Args:
        checkpoint: of an ImageNet classifier, not of a whole model.

    Raises:
        UserError: they differ; the message has what to set.
    """
    expected = _recipe_of(path, checkpoint)
    if expected is None:
        _warn(path, settings)
        return
    # mmdetection feeds Caffe's ResNets with either mean: configs/faster_rcnn and configs/fcos.
    is_converted = checkpoint.source == "torchvision_names" and expected is _MSRA
    if is_converted and settings.pixel_mean == _DETECTRON_MEAN:
        expected = _MSRA | {"pixel_mean": _DETECTRON_MEAN}
    wrong = {key: value for key, value in expected.items() if getattr(settings, key) != value}
    if wrong:
        reason = ", ".join(f"{key}: {_as_yaml(value)}" for key, value in wrong.items())
        raise UserError(f"{path}: these weights need other settings in model.backbone: {reason}")


def _recipe_of(path: Path, checkpoint: Checkpoint) -> Mapping[str, Any] | None:
    """Return the settings that the weights were trained with; None if the file does not tell."""
    tensors, left_out = checkpoint.tensors, checkpoint.left_out
    if checkpoint.source == "caffe2":
        return _of_caffe2(tensors)
    # Three convolutions are Res2Net's, and DeepLab's R-103's.
    if checkpoint.source == "torchvision" or "stem.conv3.weight" in tensors:
        return _RGB
    if checkpoint.source != "torchvision_names":
        return None
    if "features.0.weight" in tensors:
        return _RGB if _sha256(path).startswith(_TORCHVISION_VGG) else None
    return _of_torchvision_names(tensors, left_out)


def _of_caffe2(tensors: Mapping[str, Tensor]) -> Mapping[str, Any]:
    grouped = tensors.get(_GROUPED)
    if grouped is None or grouped.ndim != 4:
        return {}  # it will not fit anyway
    return _OF_GROUP_WIDTH.get(grouped.shape[1], {})


def _of_torchvision_names(
    tensors: Mapping[str, Tensor], left_out: Sequence[str]
) -> Mapping[str, Any] | None:
    grouped = tensors.get(_GROUPED)
    if grouped is None or grouped.ndim != 4:
        return {}
    channels, width = grouped.shape[:2]
    if channels != width and _OF_GROUP_WIDTH.get(width) is _TORCH_RESNEXT:
        return _RGB  # open-mmlab feeds them otherwise than Detectron: configs/mask_rcnn
    of_caffe = _MSRA if channels == width else _FAIR_RESNEXT
    if any(map(_BIAS.search, left_out)):
        return of_caffe
    if "fc.weight" in left_out:
        return _RGB
    return of_caffe if _are_folded(tensors) else None


def _are_folded(tensors: Mapping[str, Tensor]) -> bool:
    means = [value for name, value in tensors.items() if name.endswith(".running_mean")]
    variances = [value for name, value in tensors.items() if name.endswith(".running_var")]
    neutral = all(_is_all(mean, 0) for mean in means) and all(_is_all(v, 1) for v in variances)
    return bool(means) and bool(variances) and neutral


def _is_all(tensor: Tensor, value: float) -> bool:
    """Whether a tensor has no other value; one that is no weight, and is refused later, has."""
    # Eight-bit floats do not support the test.
    return kind_of(tensor) == "floating-point" and bool((tensor.float() == value).all())


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _warn(path: Path, settings: BackboneSettings) -> None:
    if os.environ.get("LOCAL_RANK", "0") == "0":
        _log.warning(
            "%s: does not tell what its weights were trained with, Caffe's or PyTorch's pixels; "
            "assumed, as in model.backbone: %s",
            path,
            ", ".join(f"{key}: {_as_yaml(getattr(settings, key))}" for key in _RGB),
        )


def _as_yaml(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
