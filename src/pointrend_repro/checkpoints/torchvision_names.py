"""Renames torchvision's ImageNet ResNets, ResNeXts and VGGs to our trunks' names."""

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")

_LAYER = re.compile(r"^layer([1-4])\.(\d+)\.(.+)$")
_NOT_OF_A_TRUNK = re.compile(r"^fc\.|num_batches_tracked$|(conv\d|downsample\.0)\.bias$")
_RENAMED = {"downsample.0.": "shortcut.", "downsample.1.": "shortcut.norm."} | {
    f"bn{i}.": f"conv{i}.norm." for i in (1, 2, 3)
}
# Linear layers of a VGG's classifier, between which are ReLUs and dropout.
_VGG_LAYERS = {"classifier.0": "fc1", "classifier.3": "fc2"}


def is_torchvision(names: Iterable[str]) -> bool:
    """Return whether these are torchvision's names for a ResNet."""
    return "layer1.0.conv1.weight" in set(names)


def from_torchvision(tensors: Mapping[str, T]) -> dict[str, T]:
    """Rename a torchvision ResNet to a trunk's names.

    Its classifier `fc` is dropped, and so are biases of convolutions, which torchvision's ResNets
    do not have but those that other projects converted from Caffe do.
    """
    renamed = {}
    for name, value in tensors.items():
        if _NOT_OF_A_TRUNK.search(name):
            continue
        layer = _LAYER.match(name)
        if layer:
            module, rest = f"res{int(layer[1]) + 1}.{layer[2]}.", layer[3]
        else:
            module, rest = "stem.", name
        renamed[module + _rename(rest)] = value
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


def _rename(name: str) -> str:
    for theirs, ours in _RENAMED.items():
        if name.startswith(theirs):
            return ours + name[len(theirs) :]
    return name
