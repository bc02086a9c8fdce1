"""Cityscapes' evaluated classes, as cityscapesscripts lists them (helpers/labels.py).

They are here so that only scoring and drawing of Cityscapes' own files need that package, which
brings a Python 2 backport of `typing` with it.
"""

from typing import NamedTuple


class StreetClass(NamedTuple):
    """One of the 19 evaluated classes; `id` is the official label id, `color` RGB."""

    id: int
    name: str
    color: tuple[int, int, int]
    has_instances: bool = False


# Every number from 0 to this is a label id; the negative one, -1 (licence plate), is never drawn.
LAST_ID = 33

# In the order of the train ids, from 0.
CLASSES = (
    StreetClass(7, "road", (128, 64, 128)),
    StreetClass(8, "sidewalk", (244, 35, 232)),
    StreetClass(11, "building", (70, 70, 70)),
    StreetClass(12, "wall", (102, 102, 156)),
    StreetClass(13, "fence", (190, 153, 153)),
    StreetClass(17, "pole", (153, 153, 153)),
    StreetClass(19, "traffic light", (250, 170, 30)),
    StreetClass(20, "traffic sign", (220, 220, 0)),
    StreetClass(21, "vegetation", (107, 142, 35)),
    StreetClass(22, "terrain", (152, 251, 152)),
    StreetClass(23, "sky", (70, 130, 180)),
    StreetClass(24, "person", (220, 20, 60), has_instances=True),
    StreetClass(25, "rider", (255, 0, 0), has_instances=True),
    StreetClass(26, "car", (0, 0, 142), has_instances=True),
    StreetClass(27, "truck", (0, 0, 70), has_instances=True),
    StreetClass(28, "bus", (0, 60, 100), has_instances=True),
    StreetClass(31, "train", (0, 80, 100), has_instances=True),
    StreetClass(32, "motorcycle", (0, 0, 230), has_instances=True),
    StreetClass(33, "bicycle", (119, 11, 32), has_instances=True),
)
