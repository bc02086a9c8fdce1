"""Which objects of detectron2's records are not trained on: those that `data.check` names.

Apart from `records`, since this needs no detectron2.
"""

from typing import Any

from pointrend_repro.data.drawn import draw, drawn_fault


def without_faulty(record: dict[str, Any]) -> dict[str, Any]:
    """Return an image's record without the objects that have no usable mask; it is not changed.

    They are left out when an example is made: before, all objects of a data set would be drawn.

    Args:
        record: with `height`, `width` and `annotations`, whose boxes are (x0, y0, x1, y1).
    """
    size = (record["height"], record["width"])
    kept = [
        each
        for each in record["annotations"]
        if each["iscrowd"] or drawn_fault(draw(each["segmentation"], size), each["bbox"]) is None
    ]
    return record | {"annotations": kept}
