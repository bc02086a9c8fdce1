"""Decodes every image in full: which are unreadable, of another size, or duplicates."""

import hashlib
import os
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.progress import track

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.coco import ImageRecord
from pointrend_repro.data.images import is_deep_colour, open_record
from pointrend_repro.tools.survey.content import SplitContent
from pointrend_repro.tools.survey.findings import Finding, fault, oddity

_Opened = tuple[Path, str | None, str, bool]


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
        for path, problem, digest, is_deep in _with_progress(
            _open, records, f"{split.name} images"
        ):
            if problem is not None:
                findings.append(fault("images that cannot be trained on", problem))
            elif path not in by_digest[digest]:
                by_digest[digest].append(path)
            if is_deep:
                text = f"{path} is read by the upper 8 of its 16 bits per channel: is it dark?"
                findings.append(oddity("colour images of 16 bits a channel", text))
    for paths in by_digest.values():
        if len(paths) > 1:
            text = " = ".join(str(path) for path in paths)
            findings.append(oddity("images with the same bytes", text))
    return opened, findings


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
        digest = hashlib.sha256(record.path.read_bytes()).hexdigest()
    except UserError as error:
        return record.path, str(error), "", False
    with Image.open(record.path) as image:
        return record.path, None, digest, is_deep_colour(image)
