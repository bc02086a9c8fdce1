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
        UserError: it is a file, holds files and no gallery, or holds a picture where another file
            is going to lie.
    """
    if output.exists() and not output.is_dir():
        raise UserError(f"{output}: is a file; name a folder as --output")
    places = places_in(output, models)
    for place in places:
        if not is_gallery(place.folder) and _holds_files(place.folder):
            raise UserError(
                f"{place.folder}: holds files, but not images.json and objects/ of an earlier "
                "`segment`; choose a new or empty folder as --output"
            )
    # Not by their paths: links lead there, and some disks do not tell A.jpg from a.jpg.
    sources = {_identity(each.path): each.path for each in pictures if each.path.exists()}
    for place in places:
        for picture in pictures:
            for path in _written(place, picture.name):
                if path.exists() and _identity(path) in sources:
                    source = sources[_identity(path)]
                    raise UserError(
                        f"{source}: would be overwritten in {output}; choose another --output"
                    )


def _holds_files(folder: Path) -> bool:
    # Hidden files are a system's, such as macOS's `.DS_Store`; nothing here has such a name.
    return folder.is_dir() and any(path.name[0] != "." for path in folder.iterdir())


def _written(place: Place, name: str) -> list[Path]:
    return [place.record(name), *place.beside_record(name, has_labels=True)]


def _identity(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino
