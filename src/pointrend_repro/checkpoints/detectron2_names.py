"""Names of detectron2's parameters and of ours, both ways (detectron2 commit 02b5c4e2).

Where the two projects use the same names nothing is listed: the trunks' `stem` and `res2` to `res5`
are named as in detectron2. `_PREFIXES` lists the differences; a model that is added
with detectron2's names needs no entry, others add theirs. The tensors themselves are the same:
background is the last class, deltas are (dx, dy, dw, dh) class by class, anchors are ordered by
ratio, and RoI features are flattened as (C, H, W) in both.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

from pointrend_repro.checkpoints.detectron2_semantic_names import (
    semantic_from_detectron2,
    semantic_to_detectron2,
)

T = TypeVar("T")

_FPN_LEVELS = (2, 3, 4, 5)
_CONV4_LAYERS = (1, 2, 3, 4)
_POINT_LAYERS = range(1, 33)  # the paper has three
_KEYPOINT_LAYERS = range(1, 33)  # the paper has eight

# Ours -> detectron2's.
_PREFIXES = (
    {f"backbone.fpn.inner_blocks.{i - 2}.0.": f"backbone.fpn_lateral{i}." for i in _FPN_LEVELS}
    | {f"backbone.fpn.layer_blocks.{i - 2}.0.": f"backbone.fpn_output{i}." for i in _FPN_LEVELS}
    | {
        "rpn.": "proposal_generator.rpn_head.",
        "box_head.fc": "roi_heads.box_head.fc",
        "box_head.res5.": "roi_heads.res5.",
        "box_head.cls_score.": "roi_heads.box_predictor.cls_score.",
        "box_head.bbox_pred.": "roi_heads.box_predictor.bbox_pred.",
        # Heads that detectron2 lacks are modules of its `OwnMaskHead` (engines/detectron2).
        "mask_head.": "roi_heads.mask_head.head.",
        "mask_head.deconv.": "roi_heads.mask_head.deconv.",
        "mask_head.predictor.": "roi_heads.mask_head.predictor.",
        "mask_head.coarse_head.reduce_channels.": (
            "roi_heads.mask_head.coarse_head.reduce_channel_dim_conv."
        ),
        "mask_head.coarse_head.reduce.": "roi_heads.mask_head.coarse_head.reduce_spatial_dim_conv.",
        "mask_head.coarse_head.": "roi_heads.mask_head.coarse_head.",
        "mask_head.point_head.predictor.": "roi_heads.mask_head.point_head.predictor.",
        "keypoint_head.deconv.": "roi_heads.keypoint_head.score_lowres.",
    }
    | {f"mask_head.convs.{i - 1}.": f"roi_heads.mask_head.mask_fcn{i}." for i in _CONV4_LAYERS}
    | {
        f"mask_head.point_head.layers.{i - 1}.": f"roi_heads.mask_head.point_head.fc{i}."
        for i in _POINT_LAYERS
    }
    | {
        f"keypoint_head.convs.{i - 1}.": f"roi_heads.keypoint_head.conv_fcn{i}."
        for i in _KEYPOINT_LAYERS
    }
)
_PREFIXES_BACK = {theirs: ours for ours, theirs in _PREFIXES.items()}
# A trunk without a pyramid (C4, C5) is the backbone itself.
_ONE_MAP = {"backbone.bottom_up.": "backbone."}
_ONE_MAP_BACK = {f"backbone.{part}": f"backbone.bottom_up.{part}" for part in ("stem.", "res")}

# PointRend's first release (zoo models 28119983, 28119989 and others of early 2020).
_OLD_PREFIXES = {
    "roi_heads.mask_coarse_head.coarse_mask_fc": "roi_heads.mask_head.coarse_head.fc",
    "roi_heads.mask_coarse_head.": "roi_heads.mask_head.coarse_head.",
    "roi_heads.mask_point_head.": "roi_heads.mask_head.point_head.",
    "roi_heads.mask_head.coarse_head.coarse_mask_fc": "roi_heads.mask_head.coarse_head.fc",
}

# Constants in older checkpoints: anchors follow from the settings. The pixels' mean and standard
# deviation are settings here too: `reading.py` takes them from the file.
_NO_PARAMETER = re.compile(
    r"^pixel_(mean|std)$|^proposal_generator\.anchor_generator\.cell_anchors\b|num_batches_tracked$"
)

# Offsets of a deformable convolution lie beside it there.
_OFFSET, _THEIR_OFFSET = re.compile(r"(\.conv\d)\.offset\."), re.compile(r"(\.conv\d)_offset\.")

# An ImageNet classifier's own names in Caffe2: `res2_0_branch2a_bn_s`, `res_conv1_bn_b`, `conv1_w`.
_CAFFE2_BRANCHES = {
    "branch1": "shortcut",
    "branch2a": "conv1",
    "branch2b": "conv2",
    "branch2c": "conv3",
}
_CAFFE2_TENSORS = {
    "w": "weight",
    "bn_s": "norm.weight",
    "bn_gamma": "norm.weight",
    "bn_b": "norm.bias",
    "bn_beta": "norm.bias",
    "bn_rm": "norm.running_mean",
    "bn_running_mean": "norm.running_mean",
    "bn_riv": "norm.running_var",
    "bn_running_var": "norm.running_var",
}
_CAFFE2_BLOCK = re.compile(r"^(res[2-5])_(\d+)_(branch1|branch2[abc])_(\w+)$")
_CAFFE2_STEM = re.compile(r"^(?:res_)?conv1_(\w+)$")

# What a detector of Detectron (lib/modeling) has besides a trunk with these names.
_OF_DETECTRON = ("fpn_", "conv_rpn_", "rpn_", "cls_score_", "bbox_pred_", "retnet_", "_[mask]_")

# A trunk's own names.
_TRUNK = re.compile(r"(stem\.conv|res[2-5]\.)")
_NO_TRUNK_PARAMETER = re.compile(r"(conv\d|shortcut)\.bias$|num_batches_tracked$")


def to_detectron2(tensors: Mapping[str, T]) -> dict[str, T]:
    """Rename our state dict to detectron2's."""
    renamed = semantic_to_detectron2(tensors)
    prefixes = _PREFIXES if _has(renamed, "backbone.fpn.") else _PREFIXES | _ONE_MAP
    named = {_replace_prefix(name, prefixes): value for name, value in renamed.items()}
    return {_OFFSET.sub(r"\1_offset.", name): value for name, value in named.items()}


def from_detectron2(tensors: Mapping[str, T]) -> dict[str, T]:
    """Rename a detectron2 state dict, PointRend's old names included, to ours.

    Names unknown to both projects stay as they are: comparing with a model reports them.
    """
    theirs = semantic_from_detectron2(tensors)
    has_own_names = _has(theirs, "backbone.bottom_up.")
    prefixes = _PREFIXES_BACK if has_own_names else _PREFIXES_BACK | _ONE_MAP_BACK
    renamed = {}
    for name, value in theirs.items():
        if not _NO_PARAMETER.search(name):
            new = _replace_prefix(name, _OLD_PREFIXES)
            ours = _replace_prefix(new, prefixes)
            renamed[_THEIR_OFFSET.sub(r"\1.offset.", ours)] = value
    return renamed


def is_caffe2(names: Iterable[str]) -> bool:
    """Return whether these are Caffe2's names for an ImageNet classifier."""
    return "conv1_w" in set(names)


def is_detectron(names: Iterable[str]) -> bool:
    """Return whether names as of `is_caffe2` are those of a detector of Detectron (2017)."""
    return any(name.startswith(_OF_DETECTRON) for name in names)


def from_caffe2(tensors: Mapping[str, T]) -> dict[str, T]:
    """Rename a Caffe2 ImageNet classifier (MSRA's and FAIR's backbones) to a trunk's names.

    The classifier's last layer, the optimizer's momentum and the biases of convolutions are
    dropped: a norm follows each convolution of a trunk, which therefore has no bias. MSRA's
    ResNet-50 has one in `conv1` nevertheless, and Detectron's converter writes them for every
    convolution (tests/checkpoints/published). detectron2 ignores them too.
    """
    renamed = {}
    for name, value in tensors.items():
        if block := _CAFFE2_BLOCK.match(name):
            stage, number, branch, tensor = block.groups()
            module = f"{stage}.{number}.{_CAFFE2_BRANCHES[branch]}"
        elif stem := _CAFFE2_STEM.match(name):
            module, tensor = "stem.conv1", stem.group(1)
        else:
            continue
        if tensor in _CAFFE2_TENSORS:
            renamed[f"{module}.{_CAFFE2_TENSORS[tensor]}"] = value
    return renamed


def trunk_only(tensors: Mapping[str, T]) -> dict[str, T]:
    """Keep the trunk of a classifier whose names are a trunk's already (DeepLab's R-103).

    The classifier (`stem.fc` or `linear`, depending on the tool that converted the file), biases
    of convolutions and batch counters are dropped.
    """
    return {
        name: value
        for name, value in tensors.items()
        if _TRUNK.match(name) and not _NO_TRUNK_PARAMETER.search(name)
    }


def _has(names: Iterable[str], prefix: str) -> bool:
    return any(name.startswith(prefix) for name in names)


def _replace_prefix(name: str, prefixes: Mapping[str, str]) -> str:
    found = [prefix for prefix in prefixes if name.startswith(prefix)]
    if not found:
        return name
    longest = max(found, key=len)
    return prefixes[longest] + name[len(longest) :]
