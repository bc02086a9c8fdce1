"""Parts of a model from another file: what a training begins with.

What is named has to be there in full. Nothing is left out in silence, least of all the layers of
classes that are others in the file: these are taken by `match_classes` alone (`classes`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
from torch import Tensor, nn

from pointrend_repro.base.errors import UserError, printable_line
from pointrend_repro.checkpoints.classes import (
    Shared,
    count_classes,
    equal_names,
    shared_classes,
    with_classes_of,
    without_predictors,
)
from pointrend_repro.checkpoints.description import is_saved_model, read_description
from pointrend_repro.checkpoints.fit import Shape, compare_shapes, shapes_of
from pointrend_repro.checkpoints.kinds import require_weights
from pointrend_repro.checkpoints.mmdetection1_names import has_unread_heads
from pointrend_repro.checkpoints.reading import read_checkpoint
from pointrend_repro.settings.backbone import BackboneSettings
from pointrend_repro.settings.start_from import StartFrom, lies_in

# Of a backbone's settings, what its weights hang on although no shape tells.
_OF_THE_WEIGHTS = ("channel_order", "pixel_mean", "pixel_std", "stride_in_1x1")
_BACKBONE = "backbone"
_ROUNDED = 1e-3  # of 255

T = TypeVar("T")


@dataclass(frozen=True)
class _Source:
    """Tensors of a file by our names, and the settings of its backbone as far as it tells."""

    tensors: Mapping[str, Tensor]
    backbone: Mapping[str, Any]


@dataclass(frozen=True)
class NotTaken:
    """What a training begins with that no file has told.

    Attributes:
        layers: those that begin at random, with `start.what_fits`.
        assumed: settings of the backbone that its weights hang on, where the file is silent: as the
            model has them.
    """

    layers: list[str]
    assumed: dict[str, Any]


def load_parts(
    model: nn.Module,
    backbone: BackboneSettings | None,
    path: Path,
    start: StartFrom,
    classes: Sequence[str] = (),
) -> NotTaken:
    """Load what `start` takes of a file into a model that is about to be trained.

    Args:
        backbone: the model's; None: it has none.
        path: a file of ours, of detectron2's, or of any other kind that `read_checkpoint` reads.
        classes: the model's, in their order; `start.match_classes` and `what_fits` ask for them.

    Raises:
        UserError: the file is missing or faulty, a part is not in the model, something of a part is
            not in the file, or has another shape there; or the weights were trained on other
            pixels; or classes are to be matched, and none is shared.
    """
    source = _read(path)
    if start.match_classes:
        source = _with_our_classes(model, path, source, classes)
    if start.what_fits:
        source = _with_what_is_of_classes(model, path, source, classes)
    own = shapes_of(model.state_dict())
    _require_parts(path, [*own], [*source.tensors], start)
    taken = {name: tensor for name, tensor in source.tensors.items() if start.takes(name)}
    wanted = {name: shape for name, shape in own.items() if start.takes(name)}
    new = _layers_that_differ(wanted, shapes_of(taken)) if start.what_fits else []
    if start.what_fits:
        wanted, taken = _without(new, wanted), _without(new, taken)
        taken = {name: tensor for name, tensor in taken.items() if name in wanted}
    if not wanted:
        raise UserError(f"{path}: start_from.leave_out leaves nothing to start from")
    fit = compare_shapes(wanted, shapes_of(taken))
    if not fit.is_exact:
        raise UserError(f"{path}: does not fit what is to start from it: {fit}; {_advice(source)}")
    require_weights(path, taken)
    assumed = {}
    if backbone is not None and any(lies_in(name, (_BACKBONE,)) for name in taken):
        _require_same_pixels(path, source.backbone, backbone)
        untold = (key for key in _OF_THE_WEIGHTS if key not in source.backbone)
        assumed = {key: getattr(backbone, key) for key in untold}
    model.load_state_dict(taken, strict=False)
    return NotTaken(new, assumed)


def _advice(source: _Source) -> str:
    if has_unread_heads(source.tensors):
        return (
            "it is a cascade or a SOLO of mmdetection 1.x, whose heads are not read: name backbone "
            "and, of a cascade, rpn in start_from.parts"
        )
    return "name what to take in start_from.parts, or what not to in start_from.leave_out"


def _layers_that_differ(own: Mapping[str, Shape], theirs: Mapping[str, Shape]) -> list[str]:
    """Return the layers that the file lacks or has in other shapes; the backbone has to fit."""
    different = [
        name.rpartition(".")[0]
        for name, shape in own.items()
        if theirs.get(name) != shape and not lies_in(name, (_BACKBONE,))
    ]
    return list(dict.fromkeys(different))


def _without(layers: Sequence[str], tensors: Mapping[str, T]) -> dict[str, T]:
    return {name: each for name, each in tensors.items() if name.rpartition(".")[0] not in layers}


def _with_what_is_of_classes(
    model: nn.Module, path: Path, source: _Source, classes: Sequence[str]
) -> _Source:
    """Keep what is of equal classes, by name, or of none; the file may not tell its classes."""
    settings: Any = model.settings
    tensors = source.tensors
    if _is_ours(path):
        shared = equal_names(classes, _classes_of(path))
    else:
        there = count_classes(tensors, settings, len(classes))
        shared = Shared([], len(classes), there or len(classes))
    tensors = with_classes_of(model.state_dict(), tensors, settings, shared)
    if not shared.pairs:
        tensors = without_predictors(tensors, settings, len(classes))
    return replace(source, tensors=tensors)


def _read(path: Path) -> _Source:
    if _is_ours(path):
        backbone = read_description(path).model.model_dump().get(_BACKBONE, {})
        try:
            return _Source(safetensors.torch.load_file(path), backbone)
        except (safetensors.SafetensorError, OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be read: {printable_line(error)}") from None
    checkpoint = read_checkpoint(path)
    if checkpoint.source not in ("model", "mmdetection1"):
        raise UserError(
            f"{path}: is an ImageNet backbone without heads; to train from it, name it as "
            "model.backbone.weights"
        )
    found = {"pixel_mean": checkpoint.pixel_mean, "pixel_std": checkpoint.pixel_std}
    told = {key: value for key, value in found.items() if value is not None}
    return _Source(checkpoint.tensors, told | dict(checkpoint.backbone))


def shared_with(path: Path, classes: Sequence[str], *, at_least_one: bool = True) -> list[str]:
    """Return which of these classes the model in a file has, too, by name.

    Raises:
        UserError: none, or the file does not tell its classes, if there has to be one.
    """
    if not at_least_one and not _is_ours(path):
        return []
    there = _classes_of(path)
    if not at_least_one:
        return [classes[k] for k, _ in equal_names(classes, there).pairs]
    return [classes[k] for k, _ in shared_classes(path, classes, there).pairs]


def _with_our_classes(
    model: nn.Module, path: Path, source: _Source, classes: Sequence[str]
) -> _Source:
    shared = shared_classes(path, classes, _classes_of(path))
    settings: Any = model.settings
    own = model.state_dict()
    return replace(source, tensors=with_classes_of(own, source.tensors, settings, shared))


def _classes_of(path: Path) -> list[str]:
    if not _is_ours(path):
        raise UserError(
            f"{path}: start_from.match_classes needs the names of its classes, which only models "
            "of this project tell; `pointrend-repro convert` makes one"
        )
    return [name for _, name in read_description(path).categories]


def _is_ours(path: Path) -> bool:
    return path.suffix == ".safetensors" and path.is_file() and is_saved_model(path)


def _require_parts(path: Path, own: list[str], theirs: list[str], start: StartFrom) -> None:
    """Refuse a part that no tensor lies in: it is misspelt.

    What is left out may be a part of the file alone.
    """
    named = [
        *(("parts", part, own) for part in start.parts or ()),
        *(("leave_out", part, own + theirs) for part in start.leave_out),
    ]
    for key, part, names in named:
        if not any(lies_in(name, (part,)) for name in names):
            known = ", ".join(dict.fromkeys(name.partition(".")[0] for name in own))
            raise UserError(f"{path}: start_from.{key}: no {part!r} in the model; it has {known}")


def _require_same_pixels(path: Path, theirs: Mapping[str, Any], ours: BackboneSettings) -> None:
    wrong = [
        f"{key}: {theirs[key]} instead of {getattr(ours, key)}"
        for key in _OF_THE_WEIGHTS
        if key in theirs and not _is_same(theirs[key], getattr(ours, key))
    ]
    if wrong:
        raise UserError(
            f"{path}: its weights were trained with another model.backbone: {'; '.join(wrong)}"
        )


def _is_same(theirs: Any, ours: Any) -> bool:
    """Whether settings are equal; of pixels' values, a file may have a few decimals less."""
    if not isinstance(ours, tuple):
        return bool(theirs == ours)
    return len(theirs) == len(ours) and all(
        math.isclose(a, b, rel_tol=0, abs_tol=_ROUNDED) for a, b in zip(theirs, ours, strict=True)
    )
