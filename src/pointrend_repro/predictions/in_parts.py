"""Predictions of a data set, made part by part, by one process or by several.

A part is that of some successive images. Each process makes its share of the parts, which lie
beside the result until all are finished and joined in order. A process that is killed and started
again keeps those that are there, whoever has made them. What decides a part is in the name of its
folder, so that no part of other settings, another model, data or device is ever taken.
"""

import contextlib
import logging
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from rich.progress import track

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import write_errors
from pointrend_repro.base.folders import atomic_folder
from pointrend_repro.base.json_list import json_list_texts, json_text, write_json_texts
from pointrend_repro.predictions.image_steps import Steps, Timing, predict_images
from pointrend_repro.predictions.ranks import ONE_RANK, Ranks

_log = logging.getLogger(__name__)

# In a part. It divides what is predicted in practice (500 images of Cityscapes, 5000 of COCO) well
# among 8 processes, whatever their number, so that others can go on with the same parts.
IMAGES = 16


@dataclass(frozen=True)
class Work:
    """Who predicts a data set, and whether finished parts are kept. None of it changes the result.

    Attributes:
        workers: processes that read and encode beside this one; 0: none.
        ranks: the processes that predict together.
        made_from: a digest of all that decides the result; None: nothing is kept. Several ranks
            need it.
        timing: of this process's images.
    """

    workers: int = 0
    ranks: Ranks = ONE_RANK
    made_from: str | None = None
    timing: Timing = field(default_factory=Timing)


ALONE = Work()


@dataclass(frozen=True)
class Files:
    """How predictions lie on disk.

    Attributes:
        ending: of a part.
        pack: makes of the predictions of one image what is written of them; in a worker.
        write: writes a part, or the whole result, atomically, by (path, what `pack` made of each
            image).
        join: makes the result of parts, by (path, parts in their order).
    """

    ending: str
    pack: Callable[[Any], Any]
    write: Callable[[Path, Iterable[Any]], None]
    join: Callable[[Path, Sequence[Path]], None]


def write_in_parts(
    path: Path, records: Sequence[Any], steps: Steps, files: Files, work: Work
) -> None:
    """Write the predictions of all records, whole or not at all; by rank 0, of several.

    Raises:
        UserError: an image or the result cannot be read or written.
    """
    few = work.made_from is None or len(records) <= IMAGES
    if few and work.ranks.world_size == 1:
        files.write(path, _packed(records, steps, files, work))
        _remove_parts(path)
        return
    with parts_folder(path, work) as folder:
        make_parts(folder, records, lambda: steps, files, work)
        work.ranks.meet()
        if work.ranks.is_main:
            files.join(path, finished_parts(folder, len(records), files.ending))


@contextlib.contextmanager
def parts_folder(path: Path, work: Work) -> Iterator[Path]:
    """Yield the folder for parts of a result, which is gone when the block has ended well.

    What cannot be removed stays: a first copy of the job may still write there, and the result is
    whole. If nothing is to be kept, it is gone whatever happens.
    """
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    if work.made_from is None:
        # Such names are those of half-written files: a killed process's are removed.
        kept = f".{path.name}."
        with tempfile.TemporaryDirectory(prefix=kept, suffix=".part", dir=path.parent) as folder:
            yield Path(folder)
        return
    kept_folder = path.with_name(f"{path.stem}.parts-{work.made_from}")
    if work.ranks.is_main:
        _remove_parts(path, but=kept_folder)
    with write_errors(kept_folder):
        kept_folder.mkdir(exist_ok=True)
    yield kept_folder
    if work.ranks.is_main:
        shutil.rmtree(kept_folder, ignore_errors=True)


def make_parts(
    folder: Path, records: Sequence[Any], steps: Callable[[], Steps], files: Files, work: Work
) -> None:
    """Make this rank's parts that are not there.

    Args:
        folder: of the parts.
        steps: is called if there is something to do.
    """
    own = range(0, len(records), IMAGES)[work.ranks.rank :: work.ranks.world_size]
    left = [start for start in own if not _part(folder, start, files.ending).exists()]
    if len(left) < len(own):
        _log.info("%d of %d parts are there already", len(own) - len(left), len(own))
    if not left:
        return
    chosen = [records[start : start + IMAGES] for start in left]
    packed = _packed(list(chain.from_iterable(chosen)), steps(), files, work)
    with contextlib.closing(packed):
        for start, images in zip(left, chosen, strict=True):
            files.write(_part(folder, start, files.ending), islice(packed, len(images)))
        next(packed, None)  # its end, which completes the progress bar


def finished_parts(folder: Path, count: int, ending: str) -> list[Path]:
    """Return the parts of all of `count` images, in their order.

    Raises:
        UserError: one is not there.
    """
    parts = [_part(folder, start, ending) for start in range(0, count, IMAGES)]
    for part in parts:
        if not part.exists():
            raise UserError(f"{part}: is gone; run the same command again, which makes it")
    return parts


def _packed(records: Sequence[Any], steps: Steps, files: Files, work: Work) -> Generator[Any]:
    packing = Steps(steps.read, steps.find, _Packing(steps.encode, files.pack))
    found = predict_images(packing, records, workers=work.workers, timing=work.timing)
    with contextlib.closing(found):
        yield from track(found, "predicting", total=len(records), disable=not work.ranks.is_main)


@dataclass(frozen=True)
class _Packing:
    encode: Callable[[Any], Any]
    pack: Callable[[Any], Any]

    def __call__(self, found: Any) -> Any:
        return self.pack(self.encode(found))


def _part(folder: Path, start: int, ending: str) -> Path:
    return folder / f"{start:08d}{ending}"


def _remove_parts(path: Path, but: Path | None = None) -> None:
    for other in path.parent.glob(f"{path.stem}.parts-*"):
        if other != but:
            shutil.rmtree(other, ignore_errors=True)


def _text_of_all(entries: Iterable[Any]) -> str:
    return ", ".join(map(json_text, entries))


def _join_lists(path: Path, parts: Sequence[Path]) -> None:
    write_json_texts(path, chain.from_iterable(map(json_list_texts, parts)))


# One JSON list of all images' entries, of which each image has any number.
LIST = Files(".json", _text_of_all, write_json_texts, _join_lists)


def _write_folder(path: Path, images: Iterable[tuple[str, bytes]]) -> None:
    with atomic_folder(path) as part:
        for name, content in images:
            (part / name).write_bytes(content)


def _join_folders(path: Path, parts: Sequence[Path]) -> None:
    with atomic_folder(path) as whole:
        for part in parts:
            # Copied: who is killed here still has the parts.
            shutil.copytree(part, whole, dirs_exist_ok=True)


def _as_it_is(value: Any) -> Any:
    return value


# A folder with a file for each image, whose predictions are (name, content).
FOLDER = Files("", _as_it_is, _write_folder, _join_folders)
