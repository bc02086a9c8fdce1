"""The published DeepMask and SharpMask models (`model.t7`) under the names of ours.

Their layout is that of facebookresearch/deepmask at commit 280a716b (`DeepMask.lua`,
`SharpMask.lua`, `modelUtils.lua`), the trunk's that of facebook/fb.resnet.torch at 985e569d
(`models/resnet.lua`) with norms made constant by szagoruyko/imagine-nn at 6fed930a (`utils.lua`,
BNtoFixed). A file holds

    {model: nn.DeepMask | nn.SharpMask, config: the options of train.lua}
    nn.DeepMask    trunk, maskBranch, scoreBranch
    nn.SharpMask   trunk, maskBranchDM, scoreBranch, neths 1..4, netvs 0..4, refs 0..4, km, ks, fSz

and each of these is an `nn.Sequential` of `modules`, except for the tables. A 3x3 or 7x7
convolution is inside a Sequential, after its padding. Linear layers become convolutions of the same
numbers, which torch flattens in the same order; constant norms, y = a x + b, become frozen ones.

The files themselves could not be reached where this was written: the tests write such a file.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pointrend_repro.base.errors import UserError, printable_line
from pointrend_repro.checkpoints.torch7 import Record

_MODELS = ("nn.DeepMask", "nn.SharpMask")
# Places in the trunk: conv1, its norm, layer1 to layer3, the 1x1 convolution, the linear layer.
_CONV1, _NORM1, _LAYERS, _REDUCE, _LOW_RANK = 1, 2, (5, 6, 7), 9, 12
# More than any Sequential there has; convolutions lie at most this deep below one.
_MOST_MODULES, _DEEPEST = 24, 2
# FrozenBatchNorm2d adds it to the variance.
_EPS = 1e-5


class _UnexpectedError(Exception):
    """The file has something else in a place."""


def from_torch7(path: Path, content: Any) -> dict[str, Tensor]:
    """Return the tensors of a published model under our names, as they are in its file.

    Args:
        path: of the file, for messages.
        content: what `read_torch7` returned.

    Raises:
        UserError: the file holds something else; the message says where.
    """
    try:
        model = content.get("model") if isinstance(content, dict) else None
        if not (isinstance(model, Record) and model.kind in _MODELS):
            raise _UnexpectedError("`model` is neither an nn.DeepMask nor an nn.SharpMask")
        found = dict(_trunk(model.fields.get("trunk")))
        is_refined = model.kind == "nn.SharpMask"
        mask = model.fields.get("maskBranchDM" if is_refined else "maskBranch")
        found |= _as_conv("coarse_mask", _only(mask, "mask branch", "Linear"))
        found |= dict(_score(model.fields.get("scoreBranch")))
        if is_refined:
            found |= dict(_refinement(model.fields))
        return found
    except _UnexpectedError as error:
        raise UserError(
            f"{path}: is not DeepMask's or SharpMask's model.t7: {printable_line(error)}"
        ) from None


def _trunk(trunk: Any) -> Iterator[tuple[str, Tensor]]:
    bottom = "backbone.bottom_up"
    conv1 = _only(_child(trunk, _CONV1, "trunk"), "trunk.1", "Convolution")
    norm1 = _child(trunk, _NORM1, "trunk")
    yield from _with_norm(f"{bottom}.stem.conv1", conv1, norm1, "trunk.2")
    for stage, place in enumerate(_LAYERS, 2):
        blocks = _modules(_child(trunk, place, "trunk"), f"trunk.{place}")
        for number, block in enumerate(blocks):
            yield from _block(f"{bottom}.res{stage}.{number}", block, f"trunk.{place}.{number + 1}")
    yield from _both("bottleneck.reduce", _child(trunk, _REDUCE, "trunk"), "trunk.9")
    reduced = _tensor(_child(trunk, _REDUCE, "trunk"), "weight", "trunk.9").shape[0]
    linear = _child(trunk, _LOW_RANK, "trunk")
    yield from _as_conv("bottleneck.low_rank", linear, reduced).items()


def _block(name: str, block: Any, where: str) -> Iterator[tuple[str, Tensor]]:
    branches = _child(block, 1, where)
    layers = list(_leaves(_child(branches, 1, where), where, "Convolution", "Affine", "Diagonal"))
    if len(layers) % 2:
        raise _UnexpectedError(f"{where} has not a constant norm for each convolution")
    for i, (conv, norm) in enumerate(zip(layers[::2], layers[1::2], strict=True), 1):
        yield from _with_norm(f"{name}.conv{i}", conv, norm, where)
    shortcut = _child(branches, 2, where)
    if "modules" in shortcut.fields:
        conv, norm = _child(shortcut, 1, where), _child(shortcut, 2, where)
        yield from _with_norm(f"{name}.shortcut", conv, norm, where)


def _score(branch: Any) -> Iterator[tuple[str, Tensor]]:
    layers = list(_leaves(branch, "scoreBranch", "Linear"))
    if len(layers) != 2:
        raise _UnexpectedError("scoreBranch has not two linear layers")
    for name, layer in zip(("hidden", "predict"), layers, strict=True):
        yield from _as_conv(f"score_head.{name}", layer).items()


def _refinement(fields: dict[Any, Any]) -> Iterator[tuple[str, Tensor]]:
    own = "refinement"
    across, down, modules = (_table(fields, name) for name in ("neths", "netvs", "refs"))
    yield from _both(f"{own}.encoding", _only(down.get(0), "netvs.0", "Linear"), "netvs.0")
    count = len(across)
    for number in range(1, count + 1):
        i, where = number - 1, f"neths.{number}"
        names = [f"skip_encoders.{i}.0", f"skip_encoders.{i}.2", f"refine.{i}.conv_skip"]
        yield from _convolutions(own, names, across.get(number), where)
        names = [f"extra.{i}", f"refine.{i}.conv_mask"]
        yield from _convolutions(own, names, down.get(number), f"netvs.{number}")
    # The last module's Sequential continues with padding and the convolution that predicts.
    last = [part for part in _modules(modules.get(count), "refs") if _is(part, "Convolution")]
    if len(last) != 1:
        raise _UnexpectedError(f"refs.{count} has not one convolution of its own")
    yield from _both(f"{own}.predictor", last[0], f"refs.{count}")


def _convolutions(
    own: str, names: list[str], sequence: Any, where: str
) -> Iterator[tuple[str, Tensor]]:
    layers = list(_leaves(sequence, where, "Convolution"))
    if len(layers) != len(names):
        raise _UnexpectedError(f"{where} has {len(layers)} convolutions instead of {len(names)}")
    for name, layer in zip(names, layers, strict=True):
        yield from _both(f"{own}.{name}", layer, where)


def _with_norm(name: str, conv: Any, norm: Any, where: str) -> Iterator[tuple[str, Tensor]]:
    """A convolution without bias and a frozen norm that does what the constant one did."""
    scale, shift = _tensor(norm, "a", where), _tensor(norm, "b", where)
    if conv.fields.get("bias") is not None:  # as fb.resnet.torch has it before cuDNN 4
        shift = shift + scale * _tensor(conv, "bias", where)
    yield f"{name}.weight", _tensor(conv, "weight", where)
    yield f"{name}.norm.weight", scale
    yield f"{name}.norm.bias", shift
    yield f"{name}.norm.running_mean", torch.zeros_like(scale)
    yield f"{name}.norm.running_var", torch.full_like(scale, 1 - _EPS)


def _as_conv(name: str, linear: Any, channels: int | None = None) -> dict[str, Tensor]:
    """A linear layer as the convolution that sees as many channels, in a square window."""
    weight = _tensor(linear, "weight", name)
    if weight.dim() != 2:
        raise _UnexpectedError(f"the weight of {name} has {weight.dim()} dimensions instead of 2")
    outputs, inputs = weight.shape
    channels = inputs if channels is None else channels
    side = round((inputs / max(channels, 1)) ** 0.5)
    if channels * side * side != inputs:
        raise _UnexpectedError(f"{name} has {inputs} inputs for {channels} channels")
    conv = weight.reshape(outputs, channels, side, side)
    return {f"{name}.weight": conv, f"{name}.bias": _tensor(linear, "bias", name)}


def _both(name: str, layer: Any, where: str) -> Iterator[tuple[str, Tensor]]:
    yield f"{name}.weight", _tensor(layer, "weight", where)
    yield f"{name}.bias", _tensor(layer, "bias", where)


def _only(sequence: Any, where: str, kind: str) -> Record:
    found = list(_leaves(sequence, where, kind))
    if len(found) != 1:
        raise _UnexpectedError(f"{where} has {len(found)} layers {kind} instead of one")
    return found[0]


def _leaves(module: Any, where: str, *kinds: str, depth: int = 0) -> Iterator[Record]:
    """Yield the layers of some kinds in a Sequential and in those inside it, in order."""
    if depth > _DEEPEST:
        raise _UnexpectedError(f"{where} has modules more than {_DEEPEST} deep")
    for part in _modules(module, where):
        if _is(part, *kinds):
            yield part
        elif part.kind == "nn.Sequential":
            yield from _leaves(part, where, *kinds, depth=depth + 1)


def _is(part: Record, *kinds: str) -> bool:
    """Whether a layer is of a kind, of whatever library: nn, cudnn or inn."""
    return any(part.kind.endswith(kind) for kind in kinds)


def _modules(module: Any, where: str) -> list[Record]:
    table = module.fields.get("modules") if isinstance(module, Record) else None
    if not isinstance(table, dict) or len(table) > _MOST_MODULES:
        raise _UnexpectedError(f"{where} has no list of modules")
    parts = [table.get(number) for number in range(1, len(table) + 1)]
    if not all(isinstance(part, Record) for part in parts):
        raise _UnexpectedError(f"{where} has something else among its modules")
    return parts  # type: ignore[return-value]


def _child(module: Any, number: int, where: str) -> Record:
    parts = _modules(module, where)
    if len(parts) < number:
        raise _UnexpectedError(f"{where} has {len(parts)} modules and thus no {number}")
    return parts[number - 1]


def _table(fields: dict[Any, Any], name: str) -> dict[Any, Any]:
    table = fields.get(name)
    if not isinstance(table, dict) or not 1 <= len(table) <= _MOST_MODULES:
        raise _UnexpectedError(f"`{name}` is not a table")
    return table


def _tensor(layer: Any, name: str, where: str) -> Tensor:
    value = layer.fields.get(name) if isinstance(layer, Record) else None
    if not isinstance(value, Tensor):
        raise _UnexpectedError(f"{where} has no tensor `{name}`")
    return value
