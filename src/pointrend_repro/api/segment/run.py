"""Predicts pictures with one model, or with two to compare, and continues where it stopped.

In the output folder lie, for each picture: `objects/NAME.json`, `overlays/NAME.jpg`, of semantic
models `labels/NAME.png`; of all pictures: `images.json` and, of objects, `results.json`. What a
second model finds is laid out in the same way in `beside/`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

from pointrend_repro.api.loading import Model
from pointrend_repro.api.longest_sides import too_long
from pointrend_repro.api.segment.gallery import SMALL_PX, write_gallery
from pointrend_repro.api.segment.outcomes import category_ids, objects_of, shares_of
from pointrend_repro.api.segment.pictures import UNREAD_SUFFIXES, Picture, leads_nowhere
from pointrend_repro.api.segment.places import Place, begin_gallery, places_in
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import atomic_path, read_json, write_errors, write_json
from pointrend_repro.base.provenance import digest
from pointrend_repro.data.images import read_image
from pointrend_repro.predictions.label_maps import LabelMap
from pointrend_repro.predictions.overlays import draw_found


class _UnreadableError(Exception):
    """A picture is at fault, and not, say, a full disk."""


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

    def made_by(self, picture: Path) -> str:
        """Return what identifies the outcome for a picture; it is made anew if this changes."""
        stat = picture.stat()
        return digest(
            {
                "weights": self.weights,
                "inference": self.model.inference.model_dump(mode="json"),
                "score_threshold": self.score_threshold,
                "picture": [str(picture.resolve()), stat.st_size, stat.st_mtime_ns],
            }
        )


@dataclass(frozen=True)
class Segmented:
    """What `segment_pictures` did.

    Attributes:
        page: the gallery.
        pictures: how many are on it.
        objects: how many the first model found; None: it labels pixels.
        kept: of the pictures, how many were finished before.
        failed: the pictures that could not be read, with the reason.
    """

    page: Path
    pictures: int
    objects: int | None
    kept: int
    failed: list[tuple[Path, str]]


def segment_pictures(
    pictures: Sequence[Picture], segmenters: Sequence[Segmenter], output: Path
) -> Segmented:
    """Predict pictures, and write COCO results, overlays and a gallery.

    Pictures that were finished by the same weights and settings are not predicted again.

    Args:
        pictures: of `find_pictures`.
        segmenters: one, or a second one to compare with.
        output: a folder that `require_safe` accepts; what other pictures have left there is not
            shown and not removed.

    Raises:
        UserError: no picture can be read, or the folder cannot be written.
    """
    places = places_in(output, len(segmenters))
    for place in places:
        begin_gallery(place.folder)
    finished: list[Picture] = []
    failed: list[tuple[Path, str]] = []
    kept = 0
    outcomes: list[list[dict[str, Any]]] = [[] for _ in segmenters]
    for picture in track(pictures, "segmenting"):
        read = cache(partial(_read, picture))  # once for both models
        try:
            found = [
                _outcome(picture, each, place, read)
                for each, place in zip(segmenters, places, strict=True)
            ]
        except _UnreadableError as error:
            failed.append((picture.path, str(error)))
            continue
        finished.append(picture)
        kept += all(was_there for was_there, _ in found)
        for outcome, (_, made) in zip(outcomes, found, strict=True):
            outcome.append(made)
    if not finished:
        path, reason = failed[0]
        raise UserError(f"none of {len(pictures)} pictures can be read; {path}: {reason}")
    for segmenter, place, of_one in zip(segmenters, places, outcomes, strict=True):
        _write_results(segmenter.model, of_one, place)
    names = [segmenter.model.name for segmenter in segmenters]
    page = write_gallery(output, names, finished, outcomes, failed)
    counts = [len(each["objects"]) for each in outcomes[0] if "objects" in each]
    return Segmented(page, len(finished), sum(counts) if counts else None, kept, failed)


def _outcome(
    picture: Picture, segmenter: Segmenter, place: Place, read: Callable[[], NDArray[np.uint8]]
) -> tuple[bool, dict[str, Any]]:
    """Return whether a picture was finished before, and what was found in it."""
    name = picture.name
    _require_readable(picture.path)
    made_by = segmenter.made_by(picture.path)
    old = _read_old(place, name, made_by)
    if old is not None:
        return True, old
    pixels = read()
    found = segmenter.model.predict(pixels)
    made: dict[str, Any] = {
        "made_by": made_by,
        "file_name": str(picture.path),
        "width": pixels.shape[1],
        "height": pixels.shape[0],
    }
    threshold = segmenter.score_threshold
    if isinstance(found, LabelMap):
        made["classes"] = shares_of(found, segmenter.model)
        ids = category_ids(found, segmenter.model.categories)
        _save(ids, place.labels(name), "PNG")
    else:
        made["objects"] = objects_of(found, segmenter.model, score_threshold=threshold)
    drawn = draw_found(pixels, found, segmenter.model.saved, score_threshold=threshold)
    _save(drawn, place.overlay(name), "JPEG")
    _save(drawn, place.thumbnail(name), "JPEG", longest=SMALL_PX)
    if place.has_pictures:
        _save(pixels, place.picture(name), "JPEG")
    write_json(place.record(name), made)  # last: what it names is there
    return False, made


def _require_readable(path: Path) -> None:
    if leads_nowhere(path):
        raise _UnreadableError(f"is a link to {path.readlink()}, which is not there")
    if not path.exists():
        raise _UnreadableError("it is gone")
    suffix = path.suffix.lower()
    if suffix in UNREAD_SUFFIXES:
        raise _UnreadableError(f"{suffix} is not read; convert it to JPEG or PNG")


def _read(picture: Picture) -> NDArray[np.uint8]:
    try:
        pixels = read_image(picture.path)
    except UserError as error:
        raise _UnreadableError(str(error).removeprefix(f"{picture.path}: ")) from None
    height, width = pixels.shape[:2]
    most = too_long("JPEG", height, width)
    if most is not None:
        raise _UnreadableError(
            f"has {width}x{height} pixels, and its overlay, a JPEG, at most {most} a side; "
            "make it smaller"
        )
    return pixels


def _read_old(place: Place, name: str, made_by: str) -> dict[str, Any] | None:
    record = place.record(name)
    if not record.is_file():
        return None
    try:
        old = read_json(record)
    except UserError:  # damaged; it is made anew
        return None
    if not isinstance(old, dict) or old.get("made_by") != made_by:
        return None
    others = place.beside_record(name, has_labels="classes" in old)
    return old if all(path.is_file() for path in others) else None


def _save(pixels: NDArray[np.uint8], path: Path, kind: str, *, longest: int | None = None) -> None:
    image = Image.fromarray(pixels)
    if longest is not None:
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    with atomic_path(path) as part:
        image.save(part, format=kind, quality=90)


def _write_results(model: Model, outcomes: list[dict[str, Any]], place: Place) -> None:
    """Write COCO's results, and the images and categories that their numbers mean."""
    results = [
        {"image_id": number, "file_name": made["file_name"]} | entry
        for number, made in enumerate(outcomes, start=1)
        for entry in made.get("objects", [])
    ]
    images = [
        {"id": number, **{key: made[key] for key in ("file_name", "width", "height")}}
        | {key: made[key] for key in ("classes",) if key in made}
        for number, made in enumerate(outcomes, start=1)
    ]
    categories = [{"id": number, "name": name} for number, name in model.categories]
    document = {"images": images, "categories": categories}
    if any("objects" in made for made in outcomes):
        write_json(place.images, document)
        write_json(place.results, results, indent=None)
    else:  # those of an earlier model number other images
        with write_errors(place.results):
            place.results.unlink(missing_ok=True)
        write_json(place.images, document)
