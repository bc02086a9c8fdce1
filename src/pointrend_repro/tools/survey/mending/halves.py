"""Splits one file in two, for training and for validation."""

import hashlib
import os
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
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

# Roboflow's export has several augmented versions of a photograph, called alike up to this end.
_VERSION = re.compile(r"\.rf\.[0-9A-Za-z]+\.[^./\\]+$")


def split_in_two(
    document: Document, pictures: Mapping[int, str], *, val_share: float, seed: int
) -> dict[Split, Document]:
    """Divide the images of a file with their annotations.

    Identical images stay together, and so do the versions of a photograph that Roboflow made.
    Everything else in the file, such as categories, goes to both. The same images are divided in
    the same way, whatever their order and, but for such versions, their names.

    Args:
        pictures: an identifier of each image's content, by its position in the list of images; an
            entry without one counts as a different image.
        val_share: at most this share of the images, in 0 to 1, becomes `val`, but at least one
            image and not all.

    Raises:
        UserError: there are fewer than two different images.
    """
    entries = document["images"]
    groups = _groups(entries, pictures)
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


def _groups(entries: Sequence[Any], pictures: Mapping[int, str]) -> dict[str, list[int]]:
    """Return the positions of images that belong on one side, by the first of their contents."""
    joined: dict[str, str] = {}

    def first(key: str) -> str:
        while joined.setdefault(key, key) != key:
            joined[key] = key = joined[joined[key]]
        return key

    of_each = [pictures.get(place, f"entry {entry!r}") for place, entry in enumerate(entries)]
    for content, entry in zip(of_each, entries, strict=True):
        for key in _shared(entry):
            before, after = sorted((first(content), first(key)))
            joined[after] = before
    groups: dict[str, list[int]] = defaultdict(list)
    for place, content in enumerate(of_each):
        groups[first(content)].append(place)
    return groups


def _shared(entry: Any) -> Iterator[str]:
    """Yield what an image may share with others; all of it sorts after the contents."""
    if isinstance(entry, dict):
        yield f"~id {entry.get('id')!r}"
        name = entry.get("file_name")
        if isinstance(name, str) and (version := _VERSION.search(name)):
            yield f"~photograph {name[: version.start()]}"


def _choose(groups: Mapping[str, list[int]], images: int, val_share: float, seed: int) -> set[int]:
    """Return the positions of the images for validation: groups, as a whole, that fit."""
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
