"""What a checkpoint of mmdetection says about its trunk.

Its trainings write their configuration into their checkpoints as Python text: `config` of `meta`
until mmdetection 2.28, `cfg` since 3.0. Nothing of it is run: a few values are searched for. They
are used where the text has them once, or always the same.
"""

import math
import re
from typing import Any

_NUMBERS = r"[\[(]([-+.\de,\s]{1,200})[\])]"
_PATTERNS = {
    "pixel_mean": re.compile(rf"\bmean=\s?{_NUMBERS}"),
    "pixel_std": re.compile(rf"\bstd=\s?{_NUMBERS}"),
    "channel_order": re.compile(r"\b(?:to_rgb|bgr_to_rgb)=(True|False)"),
    "stride_in_1x1": re.compile(r"\bstyle='(caffe|pytorch)'"),
}
# What it tells of `BackboneSettings`, if it is whole.
TOLD = tuple(_PATTERNS)
_MEANING = {"True": "RGB", "False": "BGR", "caffe": True, "pytorch": False}
# Far longer than any configuration.
_LONGEST = 1_000_000


def trunk_settings(meta: Any) -> dict[str, Any]:
    """Return what `meta` tells of `BackboneSettings`; nothing if it is none of mmdetection's."""
    text = (meta.get("config") or meta.get("cfg")) if isinstance(meta, dict) else None
    if not isinstance(text, str) or len(text) > _LONGEST:
        return {}
    found = {}
    for key, pattern in _PATTERNS.items():
        values = {_value(value) for value in pattern.findall(text)}
        if len(values) == 1 and (value := values.pop()) is not None:
            found[key] = value
    if not all(deviation > 0 for deviation in found.get("pixel_std", ())):
        del found["pixel_std"]
    return found


def _value(text: str) -> Any:
    """A setting of ours, or None for what cannot be one."""
    if text in _MEANING:
        return _MEANING[text]
    try:
        numbers = tuple(float(number) for number in text.split(",") if number.strip())
    except ValueError:
        return None
    return numbers if len(numbers) == 3 and all(map(math.isfinite, numbers)) else None
