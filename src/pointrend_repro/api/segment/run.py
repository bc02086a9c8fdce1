"""Predicts pictures with one model, or with two to compare, and continues where it stopped.

In the output folder lie, for each picture: `objects/NAME.json`, `overlays/NAME.jpg`, of semantic
models `labels/NAME.png`; of all pictures: `images.json` and, of objects, `results.json`. What a
second model finds is laid out in the same way in `beside/`. Calls with other pictures add to these.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

from pointrend_repro.api.loading import Model
from pointrend_repro.api.segment.earlier import read_record, require_same_maker, source_of
from pointrend_repro.api.segment.gallery import SMALL_PX, write_gallery
from pointrend_repro.api.segment.naming import as_text
from pointrend_repro.api.segment.outcomes import category_ids, objects_of, shares_of
from pointrend_repro.api.segment.pictures import Picture
from pointrend_repro.api.segment.places import Place, begin_gallery, places_in
from pointrend_repro.api.segment.reading import (
    UnreadableError,
    count_frames,
    read_pixels,
    state_of,
)
from pointrend_repro.api.segment.results import write_results
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import atomic_path, write_json
from pointrend_repro.base.provenance import digest, outside_code
from pointrend_repro.predictions.label_maps import LabelMap
from pointrend_repro.predictions.overlays import draw_found
from pointrend_repro.settings.heads import PluginHeadSettings

_Outcome = dict[str, Any]


@dataclass(frozen=True)
class Segmenter:
    """A model as it is used here.

    Attributes:
        model: it.
        weights: the digest of its weights.
        score_threshold: objects below it are left out.
    """

    model: Model
    weights: str
    score_threshold: float

    @cached_property
    def _maker(self) -> dict[str, Any]:
        made_with = {
            "weights": self.weights,
            "inference": self.model.inference.model_dump(mode="json"),
            "score_threshold": self.score_threshold,
        }
        network = self.model.saved.model
        if isinstance(getattr(network.settings, "mask_head", None), PluginHeadSettings):
            made_with["code"] = outside_code()[type(network.mask_head).__module__]
        return made_with

    @cached_property
    def made_with(self) -> str:
        """What identifies weights and settings, and a mask head of one's own."""
        return digest(self._maker)

    def made_by(self, picture: Path) -> str:
        """Return what identifies the outcome for a picture; it is made anew if this changes.

        Raises:
            UnreadableError: the picture is not there, or not of a kind that is read.
        """
        state = state_of(picture)
        return digest(self._maker | {"picture": [os.path.realpath(picture), *state]})

    def has_made(self, record: _Outcome) -> bool:
        """Whether these weights and settings have made a record, of whatever picture."""
        if "made_with" in record:
            return bool(record["made_with"] == self.made_with)
        try:  # of before there was such a key
            return bool(record.get("made_by") == self.made_by(Path(record["file_name"])))
        except UnreadableError:
            return False


@dataclass(frozen=True)
class Segmented:
    """What `segment_pictures` did.

    Attributes:
        page: the gallery.
        pictures: how many are on it.
        objects: how many the first model found; None: it labels pixels.
        kept: of the pictures, how many were finished before.
        failed: the pictures that could not be read, with the reason.
        cut: the pictures with several frames, of which the first was read, with their number.
    """

    page: Path
    pictures: int
    objects: int | None
    kept: int
    failed: list[tuple[Path, str]]
    cut: list[tuple[Path, int]]


def segment_pictures(
    pictures: Sequence[Picture], segmenters: Sequence[Segmenter], output: Path
) -> Segmented:
    """Predict pictures, and write COCO results, overlays and a gallery.

    Pictures that were finished by the same weights and settings are not predicted again.

    Args:
        pictures: of `find_pictures`.
        segmenters: one, or a second one to compare with.
        output: a folder that `require_safe` accepts; what was made of pictures that are gone is
            not shown and not removed.

    Raises:
        UserError: no picture can be read, the folder cannot be written, or it holds pictures that
            this call does not name and other weights or settings have made.
    """
    places = places_in(output, len(segmenters))
    unnamed = [picture.name for picture in pictures if not picture.is_named]
    for segmenter, place in zip(segmenters, places, strict=True):
        require_same_maker(unnamed, place, segmenter.has_made)
    for place in places:
        begin_gallery(place.folder)
    finished: list[Picture] = []
    failed: list[tuple[Path, str]] = []
    kept = 0
    outcomes: list[list[_Outcome]] = [[] for _ in segmenters]
    for picture in track(pictures, "segmenting"):
        read = cache(partial(read_pixels, picture.path))  # once for both models
        try:
            found = [
                _outcome(picture, each, place, read)
                for each, place in zip(segmenters, places, strict=True)
            ]
        except UnreadableError as error:
            failed.append((picture.path, str(error)))
            continue
        finished.append(picture)
        kept += all(was_there for was_there, _ in found)
        for outcome, (_, made) in zip(outcomes, found, strict=True):
            outcome.append(made)
    if not finished:
        path, reason = failed[0]
        raise UserError(f"none of {len(pictures)} pictures can be read; {path}: {reason}")
    return _finish(output, finished, segmenters, outcomes, failed, kept)


def _finish(
    output: Path,
    pictures: list[Picture],
    segmenters: Sequence[Segmenter],
    outcomes: list[list[_Outcome]],
    failed: list[tuple[Path, str]],
    kept: int,
) -> Segmented:
    places = places_in(output, len(segmenters))
    for segmenter, place, of_one in zip(segmenters, places, outcomes, strict=True):
        write_results(segmenter.model, pictures, of_one, place)
    names = [segmenter.model.name for segmenter in segmenters]
    page = write_gallery(output, names, pictures, outcomes, failed)
    counts = [len(each["objects"]) for each in outcomes[0] if "objects" in each]
    cut = [
        (picture.path, made["frames"])
        for picture, made in zip(pictures, outcomes[0], strict=True)
        if "frames" in made
    ]
    return Segmented(page, len(pictures), sum(counts) if counts else None, kept, failed, cut)


def _outcome(
    picture: Picture, segmenter: Segmenter, place: Place, read: Callable[[], NDArray[np.uint8]]
) -> tuple[bool, _Outcome]:
    """Return whether a picture was finished before, and what was found in it."""
    name = picture.name
    made: _Outcome = {
        "made_by": segmenter.made_by(picture.path),
        "made_with": segmenter.made_with,
        "file_name": as_text(picture.path),
        "source": source_of(picture.path),
    }
    old = _read_old(place, name, made["made_by"])
    if old is not None:
        if old != old | made:  # today's call writes the path in another way
            write_json(place.record(name), old | made)
        return True, old | made
    pixels = read()
    made |= {"width": pixels.shape[1], "height": pixels.shape[0]}
    if (frames := count_frames(picture.path)) > 1:
        made["frames"] = frames
    try:
        made |= _predicted(name, pixels, segmenter, place)
    except (MemoryError, RuntimeError) as error:
        if not _is_of_memory(error):
            raise
        raise UnreadableError("needs more memory than there is; make it smaller") from None
    write_json(place.record(name), made)  # last: what it names is there
    return False, made


def _is_of_memory(error: Exception) -> bool:
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or "can't allocate memory" in str(error)  # torch's on a CPU


def _predicted(name: str, pixels: NDArray[np.uint8], by: Segmenter, place: Place) -> _Outcome:
    """Save what is found in a picture's pixels, and return what there is to say of it."""
    model, threshold = by.model, by.score_threshold
    found = model.predict(pixels)
    if isinstance(found, LabelMap):
        made = {"classes": shares_of(found, model)}
        _save(category_ids(found, model.categories), place.labels(name), "PNG")
    else:
        made = {"objects": objects_of(found, model, score_threshold=threshold)}
    drawn = draw_found(pixels, found, model.saved, score_threshold=threshold)
    _save(drawn, place.overlay(name), "JPEG")
    _save(drawn, place.thumbnail(name), "JPEG", longest=SMALL_PX)
    if place.has_pictures:
        _save(pixels, place.picture(name), "JPEG")
    return made


def _read_old(place: Place, name: str, made_by: str) -> _Outcome | None:
    old = read_record(place, name)
    if old is None or old.get("made_by") != made_by:
        return None
    others = place.beside_record(name, has_labels="classes" in old)
    return old if all(path.is_file() for path in others) else None


def _save(pixels: NDArray[np.uint8], path: Path, kind: str, *, longest: int | None = None) -> None:
    image = Image.fromarray(pixels)
    if longest is not None:
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    with atomic_path(path) as part:
        image.save(part, format=kind, quality=90)
