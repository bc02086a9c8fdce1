"""A long JSON list that is made image by image, and goes on where a killed process has stopped."""

import itertools
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.progress import track

from pointrend_repro.base.json_list import read_json_list, write_json_list

Image = TypeVar("Image")

# In a part: some minutes of work.
IMAGES = 100


def write_in_parts(
    path: Path,
    images: Sequence[Image],
    entries: Callable[[Sequence[Image]], Iterable[Any]],
    *,
    made_from: str,
) -> None:
    """Write the entries of all images as one JSON list, whole or not at all.

    Finished parts lie beside `path` until then, and are not made again.

    Args:
        entries: makes those of some images, in their order.
        made_from: a digest of all that decides them; parts of another one are removed.
    """
    folder = path.with_name(f"{path.stem}.parts-{made_from}")
    for other in path.parent.glob(f"{path.stem}.parts-*"):
        if other != folder:
            shutil.rmtree(other)
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, len(images), IMAGES)
    parts = [folder / f"{start:08d}.json" for start in starts]
    for start, part in track(zip(starts, parts, strict=True), "searching", total=len(parts)):
        if not part.is_file():
            write_json_list(part, entries(images[start : start + IMAGES]))
    write_json_list(path, itertools.chain.from_iterable(map(_values, parts)))
    shutil.rmtree(folder)


def _values(part: Path) -> Iterator[Any]:
    return (entry.value for entry in read_json_list(part))
