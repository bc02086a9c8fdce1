"""The pictures that earlier calls have left in a gallery, so that one grows folder by folder."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from pointrend_repro.api.segment.places import Place, is_gallery
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json


@dataclass(frozen=True)
class Earlier:
    """A picture of an earlier call.

    Attributes:
        name: of the files that were made of it.
        real: where it lies.
        path: the same as the person wrote it, if that still leads there from today's folder.
    """

    name: str
    real: str
    path: Path


@dataclass(frozen=True)
class EarlierPictures:
    """What earlier calls have left.

    Attributes:
        pictures: that are still in their places, in the gallery's order.
        gone: the names of the others. A disk may be back tomorrow, so their files stay theirs.
        shown: which of these the gallery showed.
    """

    pictures: list[Earlier]
    gone: list[str]
    shown: frozenset[str]


def earlier_pictures(output: Path) -> EarlierPictures:
    """Return the pictures of a gallery."""
    if not is_gallery(output):
        return EarlierPictures([], [], frozenset())
    place = Place(output, True)
    shown = _shown(place)
    order = {name: number for number, name in enumerate(shown)}
    found: dict[str, Earlier] = {}
    gone = []
    names = sorted(path.stem for path in (place.folder / "objects").glob("*.json"))
    for name in sorted(names, key=lambda name: order.get(name, len(order))):
        # Where a record is damaged, the list of all pictures still says whose it was.
        old = read_record(place, name) or ({"file_name": shown[name]} if name in shown else None)
        if old is None:
            continue
        typed = Path(old["file_name"])
        real = source_path(old["source"]) if "source" in old else os.path.realpath(typed)
        if not os.path.lexists(real):
            gone.append(name)
        else:
            path = typed if os.path.realpath(typed) == real else Path(real)
            found.setdefault(real, Earlier(name, real, path))
    return EarlierPictures(list(found.values()), gone, frozenset(shown))


def read_record(place: Place, name: str) -> dict[str, Any] | None:
    """Return what was found in a picture; None if there is no such file, or it is damaged."""
    try:
        found = read_json(place.record(name))
    except UserError:  # it is made anew
        return None
    texts = [found.get(key, "") for key in ("source", "made_by")] if isinstance(found, dict) else []
    is_record = texts and isinstance(found.get("file_name"), str)
    return found if is_record and all(isinstance(text, str) for text in texts) else None


def source_of(path: Path) -> str:
    """Return where a picture lies as a URI: JSON holds only text, and names may be other bytes."""
    return Path(os.path.realpath(path)).as_uri()


def source_path(uri: str) -> str:
    """Return the path that `source_of` has written."""
    return os.fsdecode(unquote_to_bytes(uri.removeprefix("file://")))


def require_same_maker(
    names: Sequence[str], place: Place, is_same: Callable[[dict[str, Any]], bool]
) -> None:
    """Refuse to mix what other weights or settings have made of pictures that no one names now.

    Args:
        names: of these pictures.
        place: where what was found in them lies; what is not there is made anew, and is no mix.
        is_same: whether weights and settings of a record are today's.

    Raises:
        UserError: they are not.
    """
    records = [read_record(place, name) for name in names]
    others = [old["file_name"] for old in records if old is not None and not is_same(old)]
    if others:
        what = "a picture" if len(others) == 1 else f"{len(others)} pictures"
        raise UserError(
            f"{place.folder}: holds {what} of other weights, settings or code ({others[0]}"
            f"{', ...' if len(others) > 1 else ''}); name them, too, to make them anew, or choose "
            "another --output"
        )


def _shown(place: Place) -> dict[str, str]:
    """Return the paths of the pictures that the last whole call showed, by their names.

    Old files have no names.
    """
    images = read_json(place.images)["images"]
    entries = [entry for entry in images if isinstance(entry, dict)] if images else []
    pairs = [(entry.get("name"), entry.get("file_name")) for entry in entries]
    return {name: path for name, path in pairs if isinstance(name, str) and isinstance(path, str)}
