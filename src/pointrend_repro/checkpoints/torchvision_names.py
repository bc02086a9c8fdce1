"""Renames torchvision's ImageNet ResNets, ResNeXts and VGGs to our trunks' names.

mmdetection's trunks have the same names (open-mmlab's resnext101_64x4d is one), and so have those
of Res2Net's authors, apart from what Res2Net has instead: three convolutions as a stem, and in each
block several 3x3 convolutions and, before the shortcut's, an average.

Sources: torchvision 0.26, models/resnet.py; res2net_v1b.py of Res2Net/Res2Net-PretrainedModels at
9a386ca8; models/backbones/res2net.py of mmdetection 2.28, where the stem is one Sequential, and of
mmdetection 1.1 as in zehuichen123/3DFuture_ins_seg at 6caaf9cd.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")

_FIRST = "layer1.0.conv1.weight"
_LAYER = re.compile(r"^layer([1-4])\.(\d+)\.(.+)$")
_NOT_OF_A_TRUNK = re.compile(r"^fc\.|num_batches_tracked$|(conv\d|downsample\.0)\.bias$")
_NORMS = {f"bn{i}.": f"conv{i}.norm." for i in (1, 2, 3)}
_SHORTCUT = {"downsample.0.": "shortcut.", "downsample.1.": "shortcut.norm."}
_AFTER_AN_AVERAGE = {"downsample.1.": "shortcut.", "downsample.2.": "shortcut.norm."}
_THREE_CONVOLUTIONS = {
    "conv1.0.": "conv1.",
    "conv1.1.": "conv1.norm.",
    "conv1.3.": "conv2.",
    "conv1.4.": "conv2.norm.",
    "conv1.6.": "conv3.",
    "bn1.": "conv3.norm.",
}
# mmdetection's, since its version 2: `stem.0.` to `stem.7.`.
_ONE_SEQUENTIAL = {
    f"stem.{3 * i + j}.": f"conv{i + 1}.{norm}"
    for i in range(3)
    for j, norm in enumerate(("", "norm."))
}
# Deformable convolutions (the older name is detectron2's, too) and GC blocks of mmdetection.
_PARTS = (
    (re.compile(r"\.conv_offset\."), ".offset."),
    (re.compile(r"^(res\d\.\d+\.conv\d)_offset\."), r"\1.offset."),
    (re.compile(r"^(res\d\.\d+\.)bns\.(\d)\."), r"\1convs.\2.norm."),
    (re.compile(r"\.context_block\.conv_mask\."), ".context.attention."),
    (re.compile(r"\.context_block\.channel_add_conv\.0\."), ".context.squeeze."),
    (re.compile(r"\.context_block\.channel_add_conv\.1\."), ".context.norm."),
    (re.compile(r"\.context_block\.channel_add_conv\.3\."), ".context.expand."),
)
# Linear layers of a VGG's classifier, between which are ReLUs and dropout.
_VGG_LAYERS = {"classifier.0": "fc1", "classifier.3": "fc2"}


def is_torchvision(names: Iterable[str]) -> bool:
    """Return whether these are torchvision's names for a ResNet, or a Res2Net's."""
    return _FIRST in set(names)


def unknown_prefix(names: Iterable[str]) -> str | None:
    """Return what stands before these names where a ResNet has something there; None: no such."""
    found = (name.removesuffix(_FIRST) for name in names if name.endswith(f".{_FIRST}"))
    return next(found, None)


def from_torchvision(tensors: Mapping[str, T]) -> dict[str, T]:
    """Rename a ResNet of torchvision or mmdetection, or a Res2Net, to a trunk's names.

    Its classifier `fc` is dropped, and so are biases of convolutions, which torchvision's ResNets
    do not have but those that other projects converted from Caffe do.
    """
    is_res2net = "layer1.0.convs.0.weight" in tensors
    of_stem = _THREE_CONVOLUTIONS | _ONE_SEQUENTIAL if is_res2net else _NORMS
    of_block = _NORMS | (_AFTER_AN_AVERAGE if is_res2net else _SHORTCUT)
    renamed = {}
    for name, value in tensors.items():
        if _NOT_OF_A_TRUNK.search(name):
            continue
        layer = _LAYER.match(name)
        if layer:
            ours = f"res{int(layer[1]) + 1}.{layer[2]}.{_replaced(layer[3], of_block)}"
        else:
            ours = "stem." + _replaced(name, of_stem)
        for pattern, replacement in _PARTS:
            ours = pattern.sub(replacement, ours)
        renamed[ours] = value
    return renamed


def is_torchvision_vgg(names: Iterable[str]) -> bool:
    """Return whether these are torchvision's names for a VGG."""
    return {"features.0.weight", "classifier.0.weight"} <= set(names)


def from_torchvision_vgg(tensors: Mapping[str, T]) -> dict[str, T]:
    """Take the convolutions of a torchvision VGG, and its first two fully connected layers.

    Those are `fc1` and `fc2`, as in the box head that begins with them (Fast R-CNN, section 2.2).
    The third, whose outputs are ImageNet's classes, is dropped.
    """
    renamed = {}
    for name, value in tensors.items():
        module, _, rest = name.rpartition(".")
        if name.startswith("features.") or module in _VGG_LAYERS:
            renamed[f"{_VGG_LAYERS.get(module, module)}.{rest}"] = value
    return renamed


def _replaced(name: str, prefixes: Mapping[str, str]) -> str:
    for theirs, ours in prefixes.items():
        if name.startswith(theirs):
            return ours + name[len(theirs) :]
    return name
