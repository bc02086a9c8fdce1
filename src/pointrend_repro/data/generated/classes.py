"""The classes of the COCO and LVIS scenes: names, ids, synsets and looks."""

from typing import Literal, NamedTuple

from pointrend_repro.data.generated import coco_shapes as shapes
from pointrend_repro.data.generated.outlines import Outline
from pointrend_repro.settings.generated import GeneratedSettings

Pattern = Literal["plain", "mottled", "stripes", "spots", "sectors", "windows"]
RGB = tuple[int, int, int]


class ShapeClass(NamedTuple):
    """One class of objects.

    Attributes:
        name: The class name of COCO, or of LVIS where COCO lacks it.
        coco_id: COCO's category id; None for a class that only LVIS has.
        synset: The WordNet synset that identifies the class in LVIS and the COCO-to-LVIS table.
        supercategory: COCO's supercategory.
        definition: LVIS's `def`.
        outline: Draws one outline of the class.
        turn_deg: The largest angle by which an object is rotated to either side.
        color: The usual colour.
        patterns: The textures that objects of this class can have.
        is_thin: Whether it is mostly rods.
    """

    name: str
    coco_id: int | None
    synset: str
    supercategory: str
    definition: str
    outline: Outline
    turn_deg: float
    color: RGB
    patterns: tuple[Pattern, ...]
    is_thin: bool = False


# In the order in which a data set with few classes takes them.
COCO_CLASSES = (
    ShapeClass("donut", 60, "doughnut.n.02", "food", "a ring of fried dough",
               shapes.donut, 180, (188, 122, 66), ("mottled", "spots", "plain")),
    ShapeClass("kite", 38, "kite.n.03", "sports", "a light frame covered with paper, for flying",
               shapes.kite, 180, (205, 55, 70), ("sectors", "stripes", "plain")),
    ShapeClass("banana", 52, "banana.n.02", "food", "a crescent-shaped yellow fruit",
               shapes.banana, 180, (226, 196, 62), ("mottled", "spots", "plain")),
    ShapeClass("orange", 55, "orange.n.01", "food", "a round citrus fruit",
               shapes.orange, 40, (232, 132, 34), ("mottled", "spots", "plain")),
    ShapeClass("scissors", 87, "scissors.n.01", "indoor", "two crossed blades with looped handles",
               shapes.scissors, 180, (96, 108, 136), ("plain", "mottled", "stripes"), is_thin=True),
    ShapeClass("fork", 48, "fork.n.01", "kitchen", "cutlery with a handle and tines",
               shapes.fork, 180, (176, 180, 188), ("plain", "mottled"), is_thin=True),
    ShapeClass("umbrella", 28, "umbrella.n.01", "accessory", "a portable canopy on a shaft",
               shapes.umbrella, 35, (92, 70, 170), ("sectors", "stripes", "plain")),
    ShapeClass("bicycle", 2, "bicycle.n.01", "vehicle", "a vehicle with two wheels and pedals",
               shapes.bicycle, 15, (42, 62, 72), ("plain", "mottled"), is_thin=True),
    ShapeClass("bird", 16, "bird.n.01", "animal", "an animal with feathers and wings",
               shapes.bird, 35, (120, 128, 142), ("mottled", "stripes", "plain")),
    ShapeClass("broccoli", 56, "broccoli.n.01", "food", "a plant with clusters of green buds",
               shapes.broccoli, 60, (72, 128, 52), ("mottled", "spots")),
)  # fmt: skip

# Drawn in every data set but annotated only in LVIS: AP* has to leave it out.
LVIS_ONLY_CLASS = ShapeClass(
    "starfish", None, "starfish.n.01", "animal", "a sea animal with five arms",
    shapes.starfish, 180, (196, 92, 116), ("spots", "mottled"),
)  # fmt: skip

_FIRST_LVIS_ID = 101
_BY_SYNSET = sorted(shape.synset for shape in (*COCO_CLASSES, LVIS_ONLY_CLASS))


def coco_classes(settings: GeneratedSettings) -> tuple[ShapeClass, ...]:
    """Return the classes that COCO annotates in a data set of these settings."""
    kept = [shape for shape in COCO_CLASSES if settings.thin_classes or not shape.is_thin]
    return tuple(kept[: settings.classes])


def lvis_classes(settings: GeneratedSettings) -> tuple[ShapeClass, ...]:
    """Return the classes that LVIS annotates in a data set of these settings."""
    return (*coco_classes(settings), LVIS_ONLY_CLASS)


def lvis_id(shape: ShapeClass) -> int:
    """Return the LVIS category id: ordered by synset, and above all COCO ids."""
    return _FIRST_LVIS_ID + _BY_SYNSET.index(shape.synset)
