"""The classes of furniture: 3D-FUTURE's names and ids, and their looks."""

from pointrend_repro.data.generated import furniture_shapes as shapes
from pointrend_repro.data.generated.classes import RGB, Pattern, ShapeClass
from pointrend_repro.data.generated.outlines import Outline
from pointrend_repro.settings.generated import GeneratedSettings


def _class(
    name: str, number: int, outline: Outline, color: RGB, patterns: tuple[Pattern, ...]
) -> ShapeClass:
    # Furniture stands upright, and LVIS knows none of it.
    return ShapeClass(name, number, "", _CATEGORIES[name], "", outline, 6, color, patterns)


# Each class is a finer one of these, of which there are seven. They stand in the definition of
# 3D-FUTURE's categories that scripts of the challenge's entrants have in common, by id.
_CATEGORIES = {
    "Tea Table": "Cabinet/Shelf/Desk",
    "Shelf": "Cabinet/Shelf/Desk",
    "Bed Frame": "Bed",
    "Dining Chair": "Chair",
    "Barstool": "Chair",
    "Dressing Table": "Table",
    "armchair": "Sofa",
    "Pendant Lamp": "Lighting",
}


# Of the 34, those that can be seen through; in the order in which a data set with few takes them.
# Ids are places in the organisers' list (mmdet/datasets/future3d.py of their baseline), from 1.
_CLASSES = (
    _class("Dining Chair", 18, shapes.dining_chair, (150, 104, 66), ("plain", "mottled")),
    _class("Shelf", 11, shapes.shelf, (196, 176, 148), ("plain", "stripes")),
    _class("armchair", 27, shapes.armchair, (86, 122, 128), ("mottled", "stripes", "spots")),
    _class("Tea Table", 5, shapes.tea_table, (98, 70, 50), ("mottled", "plain")),
    _class("Bed Frame", 15, shapes.bed_frame, (170, 150, 170), ("stripes", "spots", "plain")),
    _class("Dressing Table", 23, shapes.dressing_table, (232, 222, 206), ("plain", "mottled")),
    _class("Pendant Lamp", 33, shapes.pendant_lamp, (212, 178, 84), ("plain", "sectors")),
    _class("Barstool", 22, shapes.bar_stool, (58, 58, 64), ("plain", "mottled")),
)


def furniture_classes(settings: GeneratedSettings) -> tuple[ShapeClass, ...]:
    """Return the classes of a data set of these settings."""
    return _CLASSES[: settings.classes]
