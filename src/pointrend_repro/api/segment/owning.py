"""Keeps what is the user's: only a new folder, an empty one or a gallery becomes a gallery."""

from collections.abc import Sequence
from pathlib import Path

from pointrend_repro.api.segment.pictures import Picture
from pointrend_repro.api.segment.places import Place, is_gallery, places_in
from pointrend_repro.base.errors import UserError


def require_safe(output: Path, pictures: Sequence[Picture], *, models: int) -> None:
    """Refuse an output in which files of the user's would be overwritten, before anything is.

    Args:
        output: the folder to write.
        pictures: the pictures to look at.
        models: one, or two to compare.

    Raises:
        UserError: it is a file, may not be read, holds files and no gallery, or holds a picture
            where another file is going to lie.
    """
    try:
        _require_gallery(output, models)
    except OSError as error:
        raise UserError(
            f"{output}: cannot be read: {error.strerror}; choose another --output"
        ) from None
    places = places_in(output, models)
    # Not by their paths: links lead there, and some disks do not tell A.jpg from a.jpg.
    sources = {_identity(each.path): each.path for each in pictures}
    for place in places:
        for picture in pictures:
            for path in _written(place, picture.name):
                found = _identity(path)
                if found is not None and found in sources:
                    source = sources[found]
                    raise UserError(
                        f"{source}: would be overwritten in {output}; choose another --output"
                    )


def _require_gallery(output: Path, models: int) -> None:
    if output.exists() and not output.is_dir():
        raise UserError(f"{output}: is a file; name a folder as --output")
    for place in places_in(output, models):
        if not is_gallery(place.folder) and _holds_files(place.folder):
            raise UserError(
                f"{place.folder}: holds files, but not images.json and objects/ of an earlier "
                "`segment`; choose a new or empty folder as --output"
            )


def _holds_files(folder: Path) -> bool:
    # Hidden files are a system's, such as macOS's `.DS_Store`; nothing here has such a name.
    return folder.is_dir() and any(path.name[0] != "." for path in folder.iterdir())


def _written(place: Place, name: str) -> list[Path]:
    return [place.record(name), *place.beside_record(name, has_labels=True)]


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from all others; None if it is not there or cannot be looked at."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
