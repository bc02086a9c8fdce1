"""What `--set KEY=VALUE` changes in a preset.

A key is a path in the preset's file, such as `trials.coco`. If it does not begin with one of that
file's keys, it lies in `overrides`, as `optimizer.base_lr` does. `weights=FILE` is short for
fine-tuning from a file.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pointrend_repro.base.asked import asked, read_pairs
from pointrend_repro.base.errors import UserError
from pointrend_repro.config.presets import Overrides, Preset
from pointrend_repro.declarations.family import Family
from pointrend_repro.settings.values import merged

WEIGHTS = "weights"
_OVERRIDES = "overrides"
_PLACES = ("semantic", "families")  # in overrides, of models that are no detectors
_OF_ALL = "run"


def changed(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a preset's file with what is asked for on top.

    Raises:
        UserError: a word is not KEY=VALUE, or the weights to fine-tune from are not there.
    """
    for key, value in read_pairs(asked()).items():
        values = merged(values, _nested(key, value))
    return values


def told(where: str) -> str:
    """Return how an error calls a preset's file: with what is asked for, if anything is."""
    words = asked()
    return f"{where} with --set {' '.join(words)}" if words else where


def require_of_family(words: Sequence[str], family: Family, variant: str) -> None:
    """Refuse changes of another family's models: they would do nothing.

    Args:
        words: of `--set` for one training or prediction.
        family: of the variant.

    Raises:
        UserError: a key is of others; the message says the one that may have been meant.
    """
    place = {"mask_rcnn": "", "semantic": "semantic."}.get(family.name, f"families.{family.name}.")
    for key in read_pairs(words):
        path = key.removeprefix(f"{_OVERRIDES}.")
        first = path.partition(".")[0]
        if first == _OF_ALL or first not in Overrides.model_fields:
            continue
        inside = first in _PLACES
        if path.startswith(place) and inside == bool(place):
            continue
        hint = f"; say {place}{path}" if not inside else ""
        raise UserError(f"--set {key}: does not concern {variant}, of family {family.name}{hint}")


def _nested(key: str, value: Any) -> dict[str, Any]:
    if key == WEIGHTS:
        return {_OVERRIDES: _fine_tuning(value)}
    path = key.split(".")
    if path[0] not in Preset.model_fields:
        path = [_OVERRIDES, *path]
    for part in reversed(path):
        value = {part: value}
    found: dict[str, Any] = value
    return found


def _fine_tuning(weights: Any) -> dict[str, Any]:
    """Begin with a file, whose trunk takes the place of ImageNet's weights."""
    if isinstance(weights, str) and not Path(weights).is_file():
        raise UserError(f"--set {WEIGHTS}: {weights}: no such file")
    return {
        "start_from": {"weights": weights, "what_fits": True},
        "linear_rule": True,
        "model": {"backbone": {"weights": None}},
    }
