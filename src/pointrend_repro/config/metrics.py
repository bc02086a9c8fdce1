"""The metrics by name, and what numbers each has: known before anything is computed.

A table names one key of a metric for each column. Whether there is such a key must be known when
the table is read, and not after the last training, so the keys are declared here: neither torch nor
an official tool is imported to know them. Tests hold them against what the tools return.
"""

from typing import Literal

Metric = Literal[
    "boundary_ap",
    "coco_ap",
    "lvis_ap_star",
    "cityscapes_ap",
    "mask_head_cost",
    "cityscapes_miou",
    "trimap_miou",
]

# Those of label maps; all others are of instances, or count.
SEMANTIC_METRICS: set[Metric] = {"cityscapes_miou", "trimap_miou"}

# As pycocotools' summarize() orders them, and lvis after it.
_COCO = ("AP", "AP50", "AP75", "APs", "APm", "APl")

# By official label id, as cityscapesscripts lists those that are evaluated.
_STUFF = (
    *("road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign"),
    *("vegetation", "terrain", "sky"),
)
_THINGS = ("person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")


def _percent(*keys: str) -> dict[str, str]:
    return dict.fromkeys(keys, "%")


# Metric -> key, as the official tool names it -> unit.
KEYS: dict[Metric, dict[str, str]] = {
    "boundary_ap": _percent(*_COCO),
    "coco_ap": _percent(*_COCO, "AP_box"),
    "lvis_ap_star": _percent(*_COCO, "APr", "APc", "APf"),
    "cityscapes_ap": _percent("AP", "AP50", *(f"AP_{name}" for name in _THINGS)),
    # Billions and millions, of one box (`evaluation.cost`).
    "mask_head_cost": {
        "multiply_adds": "B",
        "activations": "M",
        "activations_summed": "M",
        "activations_peak": "M",
    },
    "cityscapes_miou": _percent("mIoU", *(f"IoU {name}" for name in (*_STUFF, *_THINGS))),
    "trimap_miou": _percent("mIoU@r=4", "mIoU@r=8", "mIoU@r=10", "mIoU@r=20", "mIoU"),
}


def require_key(metric: Metric, key: str, unit: str) -> None:
    """Refuse a key that a metric does not have, or has in another unit.

    Raises:
        ValueError: the message names the keys that there are.
    """
    keys = KEYS[metric]
    if key not in keys:
        raise ValueError(f"metric {metric} has no key {key!r}; it has {', '.join(keys)}")
    if unit != keys[key]:
        raise ValueError(f"{key} of metric {metric} is in {keys[key]}, not in {unit!r}")
