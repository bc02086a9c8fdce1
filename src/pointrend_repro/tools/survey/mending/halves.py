"""Splits one file in two, for training and for validation."""

import hashlib
import os
import random
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.fingerprint import file_sha256
from pointrend_repro.data.images import read_image
from pointrend_repro.tools.survey.content import Split
from pointrend_repro.tools.survey.mending.entries import Document


def split_in_two(
    document: Document, pictures: Mapping[int, str], *, val_share: float, seed: int
) -> dict[Split, Document]:
    """Divide the images of a file with their annotations; identical images stay together.

    Everything else in the file, such as categories, goes to both. The same images are divided in
    the same way, whatever their order and names.

    Args:
        pictures: an identifier of each image's content, by its position in the list of images; an
            entry without one counts as a different image.
        val_share: at most this share of the images, in 0 to 1, becomes `val`, but at least one
            image and not all.

    Raises:
        UserError: there are fewer than two different images.
    """
    entries = document["images"]
    groups: dict[str, list[int]] = defaultdict(list)
    by_id: dict[str, str] = {}
    for place, entry in enumerate(entries):
        content = pictures.get(place, f"entry {entry!r}")
        key = repr(entry.get("id")) if isinstance(entry, dict) else content
        groups[by_id.setdefault(key, content)].append(place)
    if len(groups) < 2:
        raise UserError(
            f"there are {len(entries)} images, which are {len(groups)} different pictures: too "
            "few to train on one and validate on another"
        )
    chosen = _choose(groups, len(entries), val_share, seed)
    ids = {repr(entries[k].get("id")) for k in chosen if isinstance(entries[k], dict)}

    # Annotations without an image stay with the larger part, where they are refused as before.
    def is_val(entry: Any) -> bool:
        return isinstance(entry, dict) and repr(entry.get("image_id")) in ids

    annotations = document["annotations"]
    return {
        "train": document
        | {
            "images": [entry for k, entry in enumerate(entries) if k not in chosen],
            "annotations": [entry for entry in annotations if not is_val(entry)],
        },
        "val": document
        | {
            "images": [entry for k, entry in enumerate(entries) if k in chosen],
            "annotations": [entry for entry in annotations if is_val(entry)],
        },
    }


def _choose(groups: Mapping[str, list[int]], images: int, val_share: float, seed: int) -> set[int]:
    """Return the positions of the images for validation: groups of identical images that fit."""
    order = sorted(groups)
    random.Random(seed).shuffle(order)
    chosen: set[int] = set()
    for content in order:
        count = len(chosen) + len(groups[content])
        if count <= max(1, val_share * images) and count < images:
            chosen.update(groups[content])
    return chosen or set(groups[min(order, key=lambda content: len(groups[content]))])


def contents(files: Mapping[int, Path]) -> dict[int, str]:
    """Return a digest of each image's pixels, or of its file if it cannot be read."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        digests = pool.map(_digest, files.values())
        found = list(track(digests, "pictures", total=len(files), console=Console(stderr=True)))
    return dict(zip(files, found, strict=True))


def _digest(path: Path) -> str:
    try:
        pixels = read_image(path)
    except UserError:
        return file_sha256(path)
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
