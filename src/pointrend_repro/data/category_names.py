"""A class's name in a COCO file, which does not have the same key in all of them."""

from typing import Any

# COCO's, and two of the 3D-FUTURE challenge's ground truth: several of its classes share a
# `category_name`, such as "Cabinet/Shelf/Desk", so the finer name comes first.
_KEYS = ("name", "fine-grained category name", "category_name")


def name_key(entry: Any) -> str:
    """Return the key under which an element of `categories` has its name; COCO's if it has none.

    The other keys are those in the README of 3D-FUTURE-AI-Challenge-Baseline,
    segmentation/inst_segm_evaluation.
    """
    there = entry if isinstance(entry, dict) else {}
    return next((key for key in _KEYS if key in there), _KEYS[0])


def category_name(entry: dict[str, Any]) -> Any:
    """Return the name of an element of `categories`, which nothing has checked, or None."""
    return entry.get(name_key(entry))
