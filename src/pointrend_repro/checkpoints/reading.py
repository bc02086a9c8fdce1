"""Checkpoint files of any kind, read safely into tensors under our names."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.detectron2_files import told_under_our_key
from pointrend_repro.checkpoints.detectron2_names import (
    from_caffe2,
    from_detectron2,
    is_caffe2,
    is_detectron,
    trunk_only,
)
from pointrend_repro.checkpoints.kinds import kind_of
from pointrend_repro.checkpoints.mmdetection1_names import from_mmdetection1, is_mmdetection1
from pointrend_repro.checkpoints.mmdetection_config import TOLD, trunk_settings
from pointrend_repro.checkpoints.mmdetection_names import from_mmdetection, is_mmdetection
from pointrend_repro.checkpoints.mmdetection_solov2_names import (
    from_mmdetection_solov2,
    is_mmdetection_solov2,
)
from pointrend_repro.checkpoints.pickles import read_pickle
from pointrend_repro.checkpoints.torch7 import read_torch7
from pointrend_repro.checkpoints.torch7_names import from_torch7
from pointrend_repro.checkpoints.torch_files import read_torch_file
from pointrend_repro.checkpoints.torchvision_names import (
    from_torchvision,
    from_torchvision_vgg,
    is_torchvision,
    is_torchvision_vgg,
)

_TORCH_SUFFIXES = (".pth", ".pt", ".pyth")
# The key under which a file has its weights: detectron2 and most trainers; Caffe2; others.
_STATE_KEYS = ("model", "blobs", "state_dict", "model_state")
# Before every name of a model that was saved inside DataParallel or DistributedDataParallel.
_WRAPPED = "module."
_LONGEST_NAME = 300


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint file.

    Attributes:
        tensors: under our names; unknown names stay as they are.
        source: `caffe2` or `torchvision` for an ImageNet classifier of theirs, `torchvision_names`
            for one that others may have named so (`recipes`), `trunk` for one whose names are a
            trunk's, `mmdetection1` for a detector of mmdetection 1.x, `model` for everything else.
        pixel_mean: in the file's channel order, in 0 to 255, or None if the file has none.
        pixel_std: in the same order and units, or None.
        left_out: names in an ImageNet classifier's file that a trunk does not have.
        backbone: what the file tells of its `BackboneSettings`, besides the pixels' values above.
        untold: those keys of `backbone` that files of its kind tell, and this one does not.
    """

    tensors: dict[str, Tensor]
    source: str
    pixel_mean: tuple[float, ...] | None = None
    pixel_std: tuple[float, ...] | None = None
    left_out: tuple[str, ...] = ()
    backbone: Mapping[str, Any] = field(default_factory=dict)
    untold: tuple[str, ...] = ()


def read_checkpoint(path: Path) -> Checkpoint:
    """Read `.pkl` (detectron2, Caffe2), `.pth`, `.pt` or `.pyth` (PyTorch) or `.safetensors`.

    And `.t7`, if it is one of DeepMask's or SharpMask's authors.

    Raises:
        UserError: the file is missing, damaged, of another kind, or would run code.
    """
    if path.suffix == ".safetensors":
        state: Any = _read_safetensors(path)
    elif path.suffix in _TORCH_SUFFIXES:
        state = read_torch_file(path)
    elif path.suffix == ".pkl":
        state = read_pickle(path)
    elif path.suffix == ".t7":
        return Checkpoint(from_torch7(path, read_torch7(path)), "model")
    else:
        raise UserError(
            f"{path}: a checkpoint's name ends in .pkl, {', '.join(_TORCH_SUFFIXES)}, .safetensors "
            "or .t7"
        )
    about = state if isinstance(state, dict) else {}
    tensors = _tensors_of(state)
    if not tensors:
        raise UserError(f"{path}: holds no weights")
    if any(len(name) > _LONGEST_NAME or not name.isprintable() for name in tensors):
        raise UserError(f"{path}: holds a tensor whose name is not text")
    return _with_our_names(path, tensors, about)


def _with_our_names(path: Path, tensors: dict[str, Tensor], about: dict[Any, Any]) -> Checkpoint:
    if is_caffe2(tensors) and is_detectron(tensors):
        raise UserError(f"{path}: is a detector of Detectron (2017), which is not read")
    if is_caffe2(tensors):
        return _classifier(tensors, from_caffe2, "caffe2")
    if is_torchvision(tensors):
        return _classifier(tensors, from_torchvision, "torchvision_names")
    if is_torchvision_vgg(tensors):
        return _classifier(tensors, from_torchvision_vgg, "torchvision_names")
    if "stem.conv1.weight" in tensors:
        source = "torchvision" if about.get("__author__") == "torchvision" else "trunk"
        return _classifier(tensors, trunk_only, source)
    if is_mmdetection(tensors):
        return _of_mmdetection(tensors, trunk_settings(about.get("meta")))
    return Checkpoint(
        from_detectron2(tensors),
        "model",
        _pixel_values(path, "pixel_mean", tensors),
        _pixel_values(path, "pixel_std", tensors),
        backbone=told_under_our_key(path, about),
    )


def _of_mmdetection(tensors: dict[str, Tensor], told: dict[str, Any]) -> Checkpoint:
    untold = tuple(key for key in TOLD if key not in told)
    if is_mmdetection1(tensors):
        return Checkpoint(from_mmdetection1(tensors), "mmdetection1", backbone=told, untold=untold)
    rename = from_mmdetection_solov2 if is_mmdetection_solov2(tensors) else from_mmdetection
    return Checkpoint(rename(tensors), "model", backbone=told, untold=untold)


def _classifier(
    tensors: dict[str, Tensor], rename: Callable[[dict[str, str]], dict[str, str]], source: str
) -> Checkpoint:
    """Rename an ImageNet classifier's trunk, and list the file's other tensors."""
    theirs = rename({name: name for name in tensors})
    kept = {ours: tensors[name] for ours, name in theirs.items()}
    left_out = tuple(sorted(set(tensors) - set(theirs.values())))
    return Checkpoint(kept, source, left_out=left_out)


def _pixel_values(path: Path, name: str, tensors: dict[str, Tensor]) -> tuple[float, ...] | None:
    if name not in tensors:
        return None
    found = tensors[name]
    if found.numel() == 3 and kind_of(found) in ("floating-point", "integer"):
        # Detectron's means have four decimals, of which single precision has no more.
        values = tuple(round(value, 4) for value in found.flatten().tolist())
        if all(map(math.isfinite, values)) and (name == "pixel_mean" or min(values) > 0):
            return values
    raise UserError(f"{path}: its {name} is not three numbers, one for each channel")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path}: not a whole safetensors file ({error})") from None


def _tensors_of(state: Any) -> dict[str, Tensor]:
    for key in _STATE_KEYS:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
            break
    if not isinstance(state, dict):
        return {}
    converted: dict[int, Tensor | None] = {}  # an array under two names is one tensor
    found = {}
    for name, value in state.items():
        if isinstance(name, str) and not name.endswith("_momentum"):
            if id(value) not in converted:
                converted[id(value)] = _as_tensor(value)
            found[name] = converted[id(value)]
    tensors = {name: tensor for name, tensor in found.items() if tensor is not None}
    if all(name.startswith(_WRAPPED) for name in tensors):
        return {name.removeprefix(_WRAPPED): tensor for name, tensor in tensors.items()}
    return tensors


def _as_tensor(value: Any) -> Tensor | None:
    if isinstance(value, Tensor):
        return value.detach()
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biufc":
        return None
    known = np.float64 if value.dtype.kind == "f" else np.complex128
    if value.dtype.kind in "fc" and value.dtype.itemsize > np.dtype(known).itemsize:
        value = value.astype(known)  # PyTorch has no wider type
    # A copy in this machine's byte order: arrays from a pickle are read-only.
    return torch.from_numpy(value.astype(value.dtype.newbyteorder("="), copy=True))
