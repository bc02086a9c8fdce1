"""What a preset makes of the paper's models, images and schedules, in words."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.nodes import Training
from pointrend_repro.reporting.formats import listed
from pointrend_repro.reporting.settings_diff import text
from pointrend_repro.settings.of_family import AnyTrainingSettings, Recipe

_FAMILIES = {
    "mask_rcnn": "detectors",
    "semantic": "semantic models",
    "deepmask": "DeepMask and SharpMask",
    "htc": "HTC",
    "solov2": "SOLOv2",
}
_PARTS = {
    "fpn": "FPN",
    "4conv": "4x conv",
    "pointrend": "PointRend",
    "sharpmask": "SharpMask-style",
    "deeplabv3": "DeepLabV3",
    "semantic_fpn": "SemanticFPN",
    "res5": "mask head on res5",
    "mlp": "MLP mask head",
    "mask_head": "mask heads",  # of HTC, one for each stage
    "mask_scoring": "MaskIoU head",
    "refinement": "skip features",
    "score": "score head",
}
# SOLOv2 has one head, whose widths are of three things.
_PARTS_OF_SOLOV2 = {
    "channels": "towers",
    "map_channels": "mask map",
    "kernel_channels": "kernels",
}


@dataclass(frozen=True)
class Scale:
    """Where trainings differ in size from the paper's.

    Attributes:
        families: by family, in words: (what differs, how), with the paper's in brackets.
    """

    families: dict[str, list[tuple[str, str]]]

    @property
    def lines(self) -> tuple[str, ...]:
        """How they differ, a line for each family; empty where they do not."""
        return tuple(
            f"{name}, the paper's in brackets: {'; '.join(how for _, how in told)}"
            for name, told in self.families.items()
        )

    @property
    def differing(self) -> list[str]:
        """What differs, once."""
        return list(dict.fromkeys(what for told in self.families.values() for what, _ in told))


@dataclass(frozen=True)
class Width:
    """A number of channels that a preset changes: of which part, by its key there."""

    part: str
    key: str
    here: Any
    paper: Any


@dataclass(frozen=True)
class _Trained:
    """What a model is trained as, its own settings, and how its paper trains it, by data set."""

    settings: AnyTrainingSettings
    model: Mapping[str, Any]
    schedule: str
    recipes: tuple[Recipe, ...]


def scale_of(grid: Grid, trainings: Iterable[Training]) -> Scale:
    """Return how some trainings of a preset differ in size from those of the paper."""
    families: dict[str, list[_Trained]] = {name: [] for name in _FAMILIES}
    for dataset, variant in sorted({(t.dataset, t.variant) for t in trainings}):
        families.setdefault(grid.variants[variant].family, []).append(_find(grid, dataset, variant))
    found = {
        _FAMILIES.get(family, f"family {family}"): _differences(trained)
        for family, trained in families.items()
    }
    return Scale({name: told for name, told in found.items() if told})


def widths(model: Mapping[str, Any], paper: Mapping[str, Any], part: str = "") -> Iterator[Width]:
    """Find the numbers of channels in which the settings of a model differ from the paper's.

    Args:
        model: as trained; `paper` has the same keys.
        part: whose settings these are; empty for a whole model, whose keys say it.
    """
    for key, here in model.items():
        there = paper.get(key)
        if isinstance(here, Mapping) and isinstance(there, Mapping):
            inside = "" if key in {"backbone", "detector"} else here.get("kind", key)
            yield from widths(here, there, inside)
        elif key.endswith("channels") and here != there:
            yield Width(part or key.removesuffix("_channels"), key, here, there)


def _find(grid: Grid, dataset: str, variant: str) -> _Trained:
    own = grid.variants[variant]
    roles = [role for role, name in grid.preset.datasets.items() if name == dataset]
    found = [grid.trained_by[variant].recipes_for([role]).get(own.recipe) for role in roles]
    return _Trained(
        grid.training_settings(dataset, variant),
        own.model.model_dump(),
        own.schedule,
        tuple(recipe for recipe in found if recipe is not None),
    )


def _differences(trained: Sequence[_Trained]) -> list[tuple[str, str]]:
    recipes = [(each, recipe) for each in trained for recipe in each.recipes]
    edges = [
        (each.settings.input.test_short_edge_px, recipe.input.test_short_edge_px)
        for each, recipe in recipes
    ]
    updates = [
        (each.settings.schedule.total_iters, recipe.schedules[each.schedule].total_iters)
        for each, recipe in recipes
        if each.schedule in recipe.schedules
    ]
    told = [
        ("models", _trunks(trained)),
        ("models", _channels(trained)),
        ("image sizes", _compared("shorter edge of images {} px", edges)),
        ("schedules", _compared("{} updates", updates)),
    ]
    return [(what, how) for what, how in told if how]


def _trunks(trained: Sequence[_Trained]) -> str:
    replaced: dict[str, list[str]] = {}
    for each in trained:
        here, paper = (model.get("backbone", {}).get("name") for model in _models(each))
        if here != paper and paper not in replaced.get(here, []):
            replaced.setdefault(here, []).append(paper)
    told = [f"{here} ({listed(papers)})" for here, papers in replaced.items()]
    return f"trunks {', '.join(told)}" if told else ""


def _channels(trained: Sequence[_Trained]) -> str:
    parts: dict[str, dict[str, list[Width]]] = {}
    for each in trained:
        for width in widths(*_models(each)):
            if width.part != "fpn" or _has_pyramid(each.model):
                parts.setdefault(_name(width, each.settings.family), {}).setdefault(
                    width.key, []
                ).append(width)
    told = []
    for part, keys in parts.items():
        here = listed(_span(width.here for width in found) for found in keys.values())
        paper = listed(_span(width.paper for width in found) for found in keys.values())
        told.append(f"{part} {here} ({paper})")
    return f"channels of {', '.join(told)}" if told else ""


def _name(width: Width, family: str) -> str:
    if family == "solov2" and width.part == "head":
        return _PARTS_OF_SOLOV2.get(width.key, width.part)
    return _PARTS.get(width.part, width.part.replace("_", " "))


def _models(each: _Trained) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    return each.settings.model.model_dump(), each.model


def _has_pyramid(model: Mapping[str, Any]) -> bool:
    """Whether a model has the FPN whose width stands among the settings of every trunk."""
    has_decoder = model.get("decoder", {}).get("kind") == "deeplabv3"
    return model.get("features", "fpn") == "fpn" and not has_decoder


def _compared(told: str, pairs: Sequence[tuple[int, int]]) -> str:
    if all(here == paper for here, paper in pairs):
        return ""
    here, paper = (_span(side) for side in zip(*pairs, strict=True))
    return f"{told.format(here)} ({paper})"


def _span(values: Iterable[Any]) -> str:
    """Return a value or, of several, the smallest and the largest."""
    found = list(dict.fromkeys(values))
    if len(found) == 1 or not all(isinstance(value, int) for value in found):
        return ", ".join(_number(value) for value in found)
    return f"{_number(min(found))} to {_number(max(found))}"


def _number(value: Any) -> str:
    if isinstance(value, list | tuple):
        return listed(map(_number, value))
    return f"{value:,}" if isinstance(value, int) and value >= 10_000 else text(value)
