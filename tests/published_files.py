"""What published checkpoints hold, by the lists in `checkpoints/published`, and small copies."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import yaml

Shape = tuple[int, ...]
Shapes = dict[str, Shape]

_FOLDER = Path(__file__).parent / "checkpoints" / "published"


@dataclass(frozen=True)
class PublishedBackbone:
    """An ImageNet classifier's file in one of the layouts that it may have.

    `wrapped` says whether its tensors lie under `model`, as detectron2's converters write them.
    """

    file: str
    backbone: str
    layout: str
    shapes: Shapes
    wrapped: bool

    def __str__(self) -> str:
        return f"{Path(self.file).stem}, {self.layout}"


@dataclass(frozen=True)
class PublishedModel:
    """A trained model's file in one of the layouts that it may have."""

    name: str
    model: str
    layout: str
    shapes: Shapes

    def __str__(self) -> str:
        return f"{self.name}, {self.layout}"


def backbones() -> list[PublishedBackbone]:
    """Return every layout of every ImageNet classifier that a training may start from."""
    return [
        PublishedBackbone(
            entry["file"],
            entry["backbone"],
            f"{norms} and biases {biases}",
            _expand(entry["keys"], norms) | _biases(entry["keys"], biases),
            wrapped="stem.conv1.weight" in entry["keys"],
        )
        for entry in _read("imagenet.yaml").values()
        for norms, biases in product(entry["norms"], entry["biases"])
    ]


def models() -> list[PublishedModel]:
    """Return every layout of every trained model, without and with the constants of old ones."""
    content = _read("models.yaml")
    shapes = {part: _expand(keys) for part, keys in content["parts"].items()}
    found = []
    for name, entry in content["files"].items():
        constants = _constants(entry["parts"])
        old = [f"old_{p}" if f"old_{p}" in shapes else p for p in entry["parts"]]
        layouts = {"plain": entry["parts"], "with constants": [*entry["parts"], constants]}
        if old != entry["parts"]:
            layouts["old names"] = [*old, constants]
        for layout, parts in layouts.items():
            places = entry.get("places", {})
            together = {
                _placed(key, places): shape for part in parts for key, shape in shapes[part].items()
            }
            found.append(PublishedModel(name, entry["model"], layout, together))
    return found


def _constants(parts: list[str]) -> str:
    """Name the part that files of early 2020 have besides, by where the proposals come from."""
    if {"proposals_c4", "proposals_dc5"} & set(parts):
        return "constants_of_one_map"
    return "constants" if "proposals" in parts else "pixels"


def _placed(name: str, places: dict[str, str]) -> str:
    first = next((begin for begin in places if name.startswith(begin)), None)
    return name if first is None else places[first] + name.removeprefix(first)


def shrink(shape: Shape) -> Shape:
    """Make a shape small, and leave it grouped if it was: 256x8x3x3 becomes 4x1x3x3."""
    return tuple(-(-size // 64) for size in shape[:2]) + shape[2:]


def small_arrays(shapes: Shapes) -> dict[str, np.ndarray]:
    """Return an array for each name, each with a value of its own, all but the pixels' shrunk."""
    return {
        name: np.full(
            shape if name.startswith("pixel_") else shrink(shape),
            number,
            np.int64 if shape == () else np.float32,
        )
        for number, (name, shape) in enumerate(shapes.items(), start=1)
    }


@cache
def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((_FOLDER / name).read_text())
    return content


def _expand(keys: dict[str, list[int]], norms: str = "") -> Shapes:
    return {
        name: () if name.endswith("num_batches_tracked") else tuple(shape)
        for pattern, shape in keys.items()
        for name in _names(pattern.replace("NORM", norms))
    }


def _names(pattern: str) -> Iterator[str]:
    """Expand the first {a,b} or {0..2} of a pattern, and then the rest."""
    found = re.search(r"\{([^}]*)\}", pattern)
    if not found:
        yield pattern
        return
    first, _, last = found[1].partition("..")
    choices = map(str, range(int(first), int(last) + 1)) if last else found[1].split(",")
    for choice in choices:
        yield from _names(pattern[: found.start()] + choice + pattern[found.end() :])


def _biases(keys: dict[str, list[int]], which: str) -> Shapes:
    convolutions = {name: shape for name, shape in _expand(keys).items() if len(shape) == 4}
    if which == "none":
        return {}
    return {
        name.removesuffix("w") + "b": shape[:1]
        for name, shape in convolutions.items()
        if which == "all" or name == f"{which}_w"
    }
