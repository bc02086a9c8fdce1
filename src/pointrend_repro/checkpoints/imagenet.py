"""Initialises a training from the weights of an ImageNet classifier.

Such weights depend on how the pixels were normalised in their training, and on the place of the
stride (`recipes`). Both are settings of the variant, which are recorded with every result; so
weights that contradict them are refused, instead of changing settings behind the user's back.

Such files contain more than a trunk: the classifier and, in some, biases of convolutions. What is
left out is logged in one line.
"""

import logging
import os
import re
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from pointrend_repro.base.errors import UserError, printable_line
from pointrend_repro.checkpoints.fit import compare_shapes, shapes_of
from pointrend_repro.checkpoints.kinds import is_counter, require_weights
from pointrend_repro.checkpoints.reading import Checkpoint, read_checkpoint
from pointrend_repro.checkpoints.recipes import require_recipe
from pointrend_repro.checkpoints.torchvision_names import unknown_prefix
from pointrend_repro.modeling.resnet import STAGES
from pointrend_repro.modeling.vgg import VGG
from pointrend_repro.settings.backbone import BackboneSettings

_log = logging.getLogger(__name__)

_URL = "https://dl.fbaipublicfiles.com/detectron2/"
_DETECTRON_URL = "https://dl.fbaipublicfiles.com/detectron/"
# detectron2's MODEL_ZOO.md, "ImageNet Pretrained Models", and projects/DeepLab/README.md; for
# X-101-64x4d, which detectron2 does not use, Detectron's configs/12_2017_baselines.
_PUBLISHED = {
    "resnet50": f"{_URL}ImageNetPretrained/MSRA/R-50.pkl",
    "resnet101": f"{_URL}ImageNetPretrained/MSRA/R-101.pkl",
    "resnext101_32x8d": f"{_URL}ImageNetPretrained/FAIR/X-101-32x8d.pkl",
    "resnext101_64x4d": f"{_DETECTRON_URL}ImageNetPretrained/FBResNeXt/X-101-64x4d.pkl",
    "resnet103": f"{_URL}DeepLab/R-103.pkl",
    "res2net101": (
        "https://shanghuagao.oss-cn-beijing.aliyuncs.com/res2net/res2net101_v1b_26w_4s-0812c246.pth"
    ),
    "vgg16": "https://download.pytorch.org/models/vgg16-397923af.pth",
}

# Layers that classifiers lack and that begin with weights which change nothing: offsets of
# deformable convolutions, and GC blocks.
_NEW = re.compile(r"\.(offset|context)\.")

# Of its classifier, with which the box head of a detector begins.
_VGG_LAYERS = ("fc1", "fc2")

_SHOWN = 6  # names of left-out tensors to log; batch counters are not counted


def load_trunk(model: nn.Module, settings: Any) -> None:
    """Load the initial weights of a new model's trunk, if settings name any.

    The trunk is `backbone.bottom_up`. The box head may begin with what comes after it: res5 where
    the trunk ends with res4, and the fully connected layers of a VGG.

    Args:
        settings: of the model, with a `backbone`.

    Raises:
        UserError: as for `load_imagenet_weights`.
    """
    if settings.backbone.weights is not None:
        load_imagenet_weights(_whole_trunk(model), settings.backbone)


def _whole_trunk(model: nn.Module) -> nn.Module:
    trunk = model.get_submodule("backbone.bottom_up")
    children = dict(getattr(model, "box_head", nn.Module()).named_children())
    beyond = _VGG_LAYERS if isinstance(trunk, VGG) else ("res5",)
    last = {name: children[name] for name in beyond if name in children}
    if hasattr(trunk, "res5") or not last:
        return trunk  # what a file has beyond its last stage is left out
    return nn.ModuleDict(dict(trunk.named_children()) | last)


def load_imagenet_weights(trunk: nn.Module, settings: BackboneSettings) -> None:
    """Load `settings.weights` into a trunk.

    The file is one of detectron2's zoo (MSRA's R-50 and R-101, FAIR's X-101, DeepLab's R-103),
    Detectron's X-101-64x4d, a ResNet or VGG of torchvision, open-mmlab's X-101-64x4d, or Res2Net
    v1b. Names that a trunk does not have are logged in one line, and so are stages after a trunk's
    last one. A ResNet or VGG of Caffe under torchvision's names is told apart by `recipes`.

    Raises:
        UserError: the file is missing (the message says where to get it) or faulty, does not fit
            the trunk, needs other pixel values or another stride than the settings say, or
            contains non-finite or non-numeric values.
    """
    assert settings.weights is not None
    path = Path(settings.weights)
    if not path.exists():
        url = _PUBLISHED.get(settings.name)
        where = f"fetch it from {url}, or set" if url else "set"
        raise UserError(f"{path}: no such file; {where} model.backbone.weights to null or a file")
    checkpoint = read_checkpoint(path)
    if checkpoint.source in ("model", "mmdetection1"):
        _refuse_other(path, checkpoint)
    require_recipe(path, checkpoint, settings)
    tensors = checkpoint.tensors
    if checkpoint.source == "caffe2":
        tensors = _with_statistics(tensors, trunk)
    tensors, cut = _without_cut_stages(tensors, trunk)
    own = shapes_of(trunk.state_dict())
    expected = {name: own[name] for name in own if name in tensors or not _NEW.search(name)}
    fit = compare_shapes(expected, shapes_of(tensors))
    if not fit.is_exact:
        raise UserError(f"{path}: does not fit backbone {settings.name}: {fit}")
    require_weights(path, tensors)
    trunk.load_state_dict(tensors, strict=False)  # batch counters may be missing
    _log_left_out(path, checkpoint.left_out + cut)


def _refuse_other(path: Path, checkpoint: Checkpoint) -> NoReturn:
    prefix = unknown_prefix(checkpoint.tensors)
    if prefix is not None:
        raise UserError(
            f"{path}: names of a ResNet that are not known here, since {printable_line(prefix)} "
            "stands before torchvision's; save it without, for model.backbone.weights"
        )
    raise UserError(f"{path}: is not an ImageNet backbone; model.backbone.weights needs one")


def _without_cut_stages(
    tensors: dict[str, Tensor], trunk: nn.Module
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Leave out the last stages that a trunk ends before; return their names, too."""
    parts = dict(trunk.named_children())
    if STAGES[0] not in parts and "features" not in parts:
        return tensors, ()
    stages = STAGES if STAGES[0] in parts else _VGG_LAYERS
    absent = tuple(f"{stage}." for stage in stages if stage not in parts)
    cut = tuple(name for name in tensors if name.startswith(absent))
    return {name: value for name, value in tensors.items() if name not in cut}, cut


def _log_left_out(path: Path, left_out: tuple[str, ...]) -> None:
    """Log which parts of the file are not used, once per machine."""
    names = [name for name in left_out if not is_counter(name)]
    if names and os.environ.get("LOCAL_RANK", "0") == "0":
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        _log.info("%s: %d tensors that a trunk lacks are left out: %s", path, len(names), shown)


def _with_statistics(tensors: dict[str, Tensor], trunk: nn.Module) -> dict[str, Tensor]:
    """Add neutral statistics where Caffe2 folded them into scale and bias, as detectron2 does.

    A norm divides by sqrt(variance + eps), so 1 - eps is the variance that changes nothing
    (detectron2 commit 02b5c4e2, layers/batch_norm.py). A file that has some must have all.
    """
    if any(name.endswith("running_var") for name in tensors):
        return tensors
    full = dict(tensors)
    for name, module in trunk.named_modules():
        if isinstance(getattr(module, "running_var", None), Tensor):
            shape = module.running_var.shape
            full.setdefault(f"{name}.running_mean", torch.zeros(shape))
            full.setdefault(f"{name}.running_var", torch.full(shape, 1.0 - module.eps))
    return full
