"""How large the objects of a data set are: by it, two data sets are compared."""

import math
from collections import Counter
from typing import Any

import numpy as np

from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.data.own_split import choose

# Figure 1 of the 3D-FUTURE report: "We randomly select 10,000 images for fair comparison." Its code
# (code_furniture/size_distribution.py) draws 50,000 boxes, and its intervals are of 9 pixels.
_IMAGES = 10_000
_INTERVAL_PX = 10


def box_sizes(dataset: CocoDataset) -> dict[str, Any]:
    """Count boxes by the square root of their area, crowds left out.

    Returns:
        `images`, of 10,000 that are chosen at random, always the same, or of all if there are no
        more; `boxes`; `median_px`, None without any; and `counts`, how many are in each interval
        of `interval_px` from 0 on.
    """
    chosen = choose([image.id for image in dataset.images], _IMAGES, seed=0)
    sizes = [
        math.sqrt((a.box[2] - a.box[0]) * (a.box[3] - a.box[1]))
        for image in dataset.images
        if image.id in chosen
        for a in image.annotations
        if not a.is_crowd
    ]
    found = Counter(int(size / _INTERVAL_PX) for size in sizes)
    return {
        "images": len(chosen),
        "boxes": len(sizes),
        "median_px": round(float(np.median(sizes)), 2) if sizes else None,
        "interval_px": _INTERVAL_PX,
        "counts": [found[k] for k in range(max(found, default=-1) + 1)],
    }
