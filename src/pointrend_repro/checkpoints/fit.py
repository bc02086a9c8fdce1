"""Compares a checkpoint with a model and, if it does not fit, finds the most similar model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import torch

from pointrend_repro.checkpoints.kinds import is_counter
from pointrend_repro.checkpoints.known_models import KNOWN_MODELS
from pointrend_repro.checkpoints.saved_models import build_model

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

_SHOWN = 3
# Below this share of equal tensors, a checkpoint resembles none of our models.
_ALIKE = 0.5


@dataclass(frozen=True)
class Fit:
    """How a checkpoint differs from a model; `misshapen` has (name, found, expected)."""

    missing: list[str]
    unexpected: list[str]
    misshapen: list[tuple[str, Shape, Shape]]

    @property
    def is_exact(self) -> bool:
        """Whether every tensor of the model is present in its shape, and nothing else."""
        return not (self.missing or self.unexpected or self.misshapen)

    def __str__(self) -> str:
        misshapen = [
            f"{name} is {_times(shape)} instead of {_times(expected)}"
            for name, shape, expected in self.misshapen
        ]
        parts = {
            "missing": self.missing,
            "unexpected": self.unexpected,
            "misshapen": misshapen,
        }
        return "; ".join(f"{len(v)} {k} ({_first(v)})" for k, v in parts.items() if v)


def compare_shapes(model: Shapes, checkpoint: Shapes) -> Fit:
    """Compare names and shapes. Batch counters, which inference ignores, may be missing."""
    optional = {name for name in model if is_counter(name)}
    return Fit(
        missing=sorted(set(model) - set(checkpoint) - optional),
        unexpected=sorted(set(checkpoint) - set(model)),
        misshapen=[
            (name, checkpoint[name], model[name])
            for name in sorted(set(model) & set(checkpoint))
            if checkpoint[name] != model[name]
        ],
    )


def looks_like(checkpoint: Shapes) -> str | None:
    """Return the name in `list_models` whose tensors are most similar, or None."""
    best = max(KNOWN_MODELS, key=lambda name: _likeness(known_shapes(name), checkpoint))
    return best if _likeness(known_shapes(best), checkpoint) >= _ALIKE else None


@cache
def known_shapes(name: str) -> dict[str, Shape]:
    """Return names and shapes of a known model's tensors, without allocating them."""
    known = KNOWN_MODELS[name]
    with torch.device("meta"):
        model = build_model(known.model, num_classes=len(known.categories))
    return shapes_of(model.state_dict())


def shapes_of(tensors: Mapping[str, torch.Tensor]) -> dict[str, Shape]:
    """Return the tensors' shapes by name."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _likeness(a: Shapes, b: Shapes) -> float:
    a, b = ({k: v for k, v in x.items() if not is_counter(k)} for x in (a, b))
    same = sum(b.get(name) == shape for name, shape in a.items())
    return same / len(set(a) | set(b))


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _times(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "a number"
