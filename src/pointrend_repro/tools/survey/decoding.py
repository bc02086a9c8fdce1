"""Decodes every image in full: which are unreadable, of another size, or duplicates."""

import hashlib
import io
import os
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from rich.console import Console
from rich.progress import track

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.coco import ImageRecord
from pointrend_repro.data.images import (
    is_deep_colour,
    is_on_its_side,
    open_record,
    stored_size,
    upright_method,
)
from pointrend_repro.tools.survey.content import SplitContent
from pointrend_repro.tools.survey.findings import Finding, fault, oddity

# How EXIF is named in a PNG. To find the orientation, Pillow decodes a PNG to its end.
_EXIF_IN_PNG = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")


class _Opened(NamedTuple):
    """What was found in an image file: a problem, or its digest and oddities.

    Attributes:
        is_deep: it has 16 bits per channel, in colour.
        is_turned_in_place: its EXIF orientation turns it without changing its size.
    """

    path: Path
    problem: str | None = None
    digest: str = ""
    is_deep: bool = False
    is_turned_in_place: bool = False


def open_images(
    splits: Iterable[SplitContent], sample: int | None
) -> tuple[dict[str, int], list[Finding]]:
    """Decode the images of each split as a training does, on all processors.

    Args:
        sample: open this many of each split, at random but always the same ones; none: all.

    Returns:
        How many images of each split were opened, and what was found.
    """
    opened: dict[str, int] = {}
    findings: list[Finding] = []
    by_digest: dict[str, list[Path]] = defaultdict(list)
    for split in splits:
        records = _chosen([r for r in split.images.values() if r.id not in split.missing], sample)
        opened[split.name] = len(records)
        for found in _with_progress(_open, records, f"{split.name} images"):
            if found.problem is not None:
                findings.append(fault("images that cannot be trained on", found.problem))
            elif found.path not in by_digest[found.digest]:
                by_digest[found.digest].append(found.path)
            findings += _oddities(found)
    for paths in by_digest.values():
        if len(paths) > 1:
            text = " = ".join(str(path) for path in paths)
            findings.append(oddity("images with the same bytes", text))
    return opened, findings


def _oddities(found: _Opened) -> Iterator[Finding]:
    path = found.path
    if found.is_deep:
        text = f"{path} is read by the upper 8 of its 16 bits per channel: is it dark?"
        yield oddity("colour images of 16 bits a channel", text)
    if found.is_turned_in_place:
        text = (
            f"{path} is turned upright by its EXIF orientation and keeps its size, which therefore "
            "does not tell whether its objects were drawn on it upright: look at them (--pictures)"
        )
        yield oddity("images that EXIF turns without a change of size", text)


def _with_progress(
    work: Callable[[ImageRecord], _Opened], records: Sequence[ImageRecord], title: str
) -> Iterable[_Opened]:
    """Yield the result of each record in order, with a progress bar on stderr."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(work, records)
        yield from track(results, title, total=len(records), console=Console(stderr=True))


def _chosen(records: list[ImageRecord], sample: int | None) -> list[ImageRecord]:
    if sample is None or sample >= len(records):
        return records
    return random.Random(0).sample(records, sample)


def _open(record: ImageRecord) -> _Opened:
    try:
        open_record(record)
        content = record.path.read_bytes()
    except UserError as error:
        return _Opened(record.path, str(error))
    digest = hashlib.sha256(content).hexdigest()
    with Image.open(io.BytesIO(content)) as image:
        is_deep = is_deep_colour(image)
        return _Opened(record.path, None, digest, is_deep, _is_turned_in_place(image, content))


def _is_turned_in_place(image: Image.Image, content: bytes) -> bool:
    """Whether an image that is opened but not loaded is turned and keeps its size."""
    if image.format == "PNG" and not any(name in content for name in _EXIF_IN_PNG):
        return False
    width, height = stored_size(image)
    turn = upright_method(image)
    return turn is not None and (width == height or not is_on_its_side(turn))
