"""Where the files of a gallery lie: of each model, of each picture."""

from dataclasses import dataclass
from pathlib import Path

_BESIDE = "beside"


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
