"""Where the files of a gallery lie, and by which of them a folder is known to be one."""

from dataclasses import dataclass
from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json, write_errors, write_json

_BESIDE = "beside"
_KEYS = {"images", "categories"}
# What lies in these is made by `segment`.
OWN_FOLDERS = ("objects", "overlays", "labels", "thumbnails", "pictures", _BESIDE)


@dataclass(frozen=True)
class Place:
    """Where what one model finds lies.

    Attributes:
        folder: the folder.
        has_pictures: whether the pictures themselves lie here, too; a second model needs none.
    """

    folder: Path
    has_pictures: bool

    @property
    def images(self) -> Path:
        """Which picture a number means, and the categories."""
        return self.folder / "images.json"

    @property
    def results(self) -> Path:
        """The objects of all pictures; there are none of models that label pixels."""
        return self.folder / "results.json"

    def record(self, name: str) -> Path:
        """What was found in a picture, by itself."""
        return self.folder / "objects" / f"{name}.json"

    def overlay(self, name: str) -> Path:
        """A picture with what was found drawn over it."""
        return self.folder / "overlays" / f"{name}.jpg"

    def thumbnail(self, name: str) -> Path:
        """The same, small."""
        return self.folder / "thumbnails" / f"{name}.jpg"

    def labels(self, name: str) -> Path:
        """A picture's category ids, of models that label pixels."""
        return self.folder / "labels" / f"{name}.png"

    def picture(self, name: str) -> Path:
        """The picture itself, in a format that browsers show."""
        return self.folder / "pictures" / f"{name}.jpg"

    def beside_record(self, name: str, *, has_labels: bool) -> list[Path]:
        """Return the files that are there as well if the record of a picture is."""
        files = [self.overlay(name), self.thumbnail(name)]
        return files + [self.labels(name)] * has_labels + [self.picture(name)] * self.has_pictures


def places_in(output: Path, models: int) -> list[Place]:
    """Return the places of one model, or of two."""
    return [Place(output, True), Place(output / _BESIDE, False)][:models]


def is_gallery(folder: Path) -> bool:
    """Whether `segment` has begun to write a folder, or the one of its second model.

    Its `images.json` then has two keys, where data sets in COCO's format have more, and `objects/`
    is there.
    """
    images = Place(folder, True).images
    try:
        found = read_json(images)
        has_objects = (folder / "objects").is_dir()
    except (UserError, OSError):  # such as one that may not be looked at
        return False
    return has_objects and isinstance(found, dict) and found.keys() == _KEYS


def begin_gallery(folder: Path) -> None:
    """Make a folder a gallery, so that a run that stops at its first picture can continue.

    Raises:
        UserError: it cannot be written.
    """
    if is_gallery(folder):
        return
    write_json(Place(folder, True).images, {"images": [], "categories": []})
    with write_errors(folder):
        (folder / "objects").mkdir(exist_ok=True)
