"""Layers of classes, taken over class by class from a model of other classes.

Which layers these are, and along which of their axes the classes lie, is seen from the shapes of
the same model with one class more. So it holds for every head, as long as heads keep to one rule:
what a layer puts out begins with the classes, in their order and as many numbers for each, and what
else it puts out, such as the background, comes after them; among what a layer reads, the classes
come last (`mask_heads.point_head`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from pointrend_repro.base.errors import UserError, printable_line
from pointrend_repro.checkpoints.fit import Shape, shapes_of
from pointrend_repro.checkpoints.kinds import kind_of
from pointrend_repro.checkpoints.saved_models import build_model
from pointrend_repro.settings.of_family import AnyModelSettings

_SHOWN = 8


class Shared(NamedTuple):
    """Which classes two models share, by name.

    Attributes:
        pairs: places of each shared class among the classes here and in the other model.
        here: how many classes there are here.
        there: how many the other model has.
    """

    pairs: list[tuple[int, int]]
    here: int
    there: int


class _Axis(NamedTuple):
    """An axis along which classes lie: `each` places for each of them, and `others` besides."""

    axis: int
    each: int
    others: int

    def length(self, classes: int) -> int:
        return self.each * classes + self.others

    def places(self, chosen: Sequence[int], classes: int) -> Tensor:
        """All places of the chosen classes, then those that belong to no class."""
        first, rest = (0, self.each * classes) if self.axis == 0 else (self.others, 0)
        own = [first + self.each * k + i for k in chosen for i in range(self.each)]
        return torch.tensor([*own, *range(rest, rest + self.others)], dtype=torch.int64)


def shared_classes(path: Path, here: Sequence[str], there: Sequence[str]) -> Shared:
    """Return which classes of a file's model are those of this one, by their names.

    Raises:
        UserError: none is.
    """
    shared = equal_names(here, there)
    if not shared.pairs:
        raise UserError(
            f"{path}: start_from.match_classes: its classes {_names(there)} share no name with "
            f"those to train, {_names(here)}"
        )
    return shared


def equal_names(here: Sequence[str], there: Sequence[str]) -> Shared:
    """Return which classes of another model are those of this one, by their names; maybe none."""
    place = {name: k for k, name in enumerate(there)}
    pairs = [(k, place[name]) for k, name in enumerate(here) if name in place]
    return Shared(pairs, len(here), len(there))


def without_predictors(
    source: Mapping[str, Tensor], settings: AnyModelSettings, classes: int
) -> dict[str, Tensor]:
    """Return the source's tensors but those that put out classes, all of which are others here.

    Args:
        settings: of the model here.
        classes: how many it has.
    """
    axes = _class_axes(settings, classes)
    return {
        name: tensor
        for name, tensor in source.items()
        if all(axis.axis != 0 for axis in axes.get(name, ()))
    }


def count_classes(
    source: Mapping[str, Tensor], settings: AnyModelSettings, classes: int
) -> int | None:
    """Return how many classes the source's layers are for; None: none of them has the right shape.

    Arguments are those of `without_predictors`.
    """
    for name, axes in _class_axes(settings, classes).items():
        tensor = source.get(name)
        if tensor is not None and len(tensor.shape) > axes[0].axis:
            found, rest = divmod(tensor.shape[axes[0].axis] - axes[0].others, axes[0].each)
            if found > 0 and not rest:
                return found
    return None


def with_classes_of(
    own: Mapping[str, Tensor],
    source: Mapping[str, Tensor],
    settings: AnyModelSettings,
    shared: Shared,
) -> dict[str, Tensor]:
    """Return the source's tensors with its layers of classes as those of the model here.

    In these, what is of a shared class or of no class is the source's, and what is of another class
    is the model's own. A tensor that has not the shape of such a layer stays as it is.

    Args:
        own: of the model here, by name.
        settings: of the model here.
    """
    found = dict(source)
    for name, axes in _class_axes(settings, shared.here).items():
        theirs = source.get(name)
        if theirs is None or kind_of(theirs) != "floating-point":  # the latter is refused later
            continue
        if theirs.shape == _shape(own[name], axes, shared.there):
            found[name] = _filled(own[name], theirs, axes, shared)
    return found


def _class_axes(settings: AnyModelSettings, classes: int) -> dict[str, list[_Axis]]:
    """Return the axes of classes of each tensor that has any."""
    shapes, more = (_shapes(settings, count) for count in (classes, classes + 1))
    found = {}
    for name, shape in shapes.items():
        grown = [(axis, more[name][axis] - size) for axis, size in enumerate(shape)]
        axes = [_Axis(axis, d, shape[axis] - d * classes) for axis, d in grown if d]
        if axes:
            found[name] = axes
    return found


def _shapes(settings: AnyModelSettings, classes: int) -> dict[str, Shape]:
    with torch.device("meta"):
        return shapes_of(build_model(settings, num_classes=classes).state_dict())


def _shape(own: Tensor, axes: list[_Axis], classes: int) -> torch.Size:
    sizes = list(own.shape)
    for axis in axes:
        sizes[axis.axis] = axis.length(classes)
    return torch.Size(sizes)


def _filled(own: Tensor, theirs: Tensor, axes: list[_Axis], shared: Shared) -> Tensor:
    to = [torch.arange(size) for size in own.shape]
    source = [torch.arange(size) for size in theirs.shape]
    ours = [here for here, _ in shared.pairs]
    others = [there for _, there in shared.pairs]
    for axis in axes:
        to[axis.axis] = axis.places(ours, shared.here)
        source[axis.axis] = axis.places(others, shared.there)
    filled = own.detach().cpu().clone()
    filled[torch.meshgrid(*to, indexing="ij")] = theirs.cpu().to(filled.dtype)[
        torch.meshgrid(*source, indexing="ij")
    ]
    return filled


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(printable_line(name) for name in names[:_SHOWN])
    return f"({len(names)}: {shown}{', ...' if len(names) > _SHOWN else ''})"
