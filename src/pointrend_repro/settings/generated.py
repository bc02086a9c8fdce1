"""What a generated data set consists of, and the random streams of its images."""

from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import Field, model_validator

from pointrend_repro.settings.identity import added
from pointrend_repro.settings.values import Split, Strict

if TYPE_CHECKING:
    import numpy as np  # every command reads these settings, and most need no numpy

# Raised whenever the same settings would give other bytes: older folders are then refused.
RENDERER_VERSION = 2

ImageKind = Literal["ordinary", "empty", "crowd"]

_SPLIT_SEEDS: dict[Split, int] = {"train": 0, "val": 1}

# The positions of the first empty and the first crowd image: among a split's first eight images.
_EMPTY_OFFSET = 3
_CROWD_OFFSET = 5

_STURDY_CLASSES = 7
_FURNITURE_CLASSES = 8


class GeneratedSettings(Strict):
    """The settings that decide every byte of a generated data set.

    Attributes:
        train_images: Number of training images.
        val_images: Number of validation images.
        width_px: Width of every image in pixels.
        height_px: Height of every image in pixels.
        classes: Number of classes of annotated objects; at most 8 for Cityscapes.
        seed: The seed. Image k of a split depends on it, but not on the number of images.
        empty_image_share: Share of the images without any object.
        crowd_image_share: Share of the images with a crowd or group annotation.
        smallest_px: Least length of an object's longer side; none: 16, or an eighth of a short
            image's shorter side.
        subject: What is drawn: things of several classes, people with COCO's keypoints, or
            furniture with holes, annotated as 3D-FUTURE is.
        thin_classes: Whether COCO's scenes have forks, scissors and bicycles, too; Cityscapes'
            street scenes have their bicycles in any case.
    """

    train_images: int = Field(ge=0, le=1_000_000)
    val_images: int = Field(ge=1, le=1_000_000)
    width_px: int = Field(ge=32, le=8192)
    height_px: int = Field(ge=32, le=8192)
    classes: int = Field(default=6, ge=5, le=10)
    seed: int = Field(default=0, ge=0)
    empty_image_share: float = Field(default=0.05, ge=0.0, le=0.125)
    crowd_image_share: float = Field(default=0.05, ge=0.0, le=0.125)
    smallest_px: Annotated[int, Field(ge=8)] | None = added(None, "the least longer side")
    subject: Literal["things", "people", "furniture"] = added(
        "things", "what is drawn; people: one class"
    )
    thin_classes: bool = added(True, "whether COCO's scenes have forks, scissors and bicycles")

    @model_validator(mode="after")
    def _smallest_is_below_largest(self) -> "GeneratedSettings":
        low_px, high_px = self.size_range_px
        if 2.5 * low_px > high_px:  # sizes spread over the range, a crowd's over part of it
            raise ValueError(
                f"smallest_px {self.smallest_px}: objects reach {high_px:g} px in images of "
                f"{self.width_px}x{self.height_px}; choose at most 40 % of that"
            )
        return self

    @model_validator(mode="after")
    def _there_are_so_many_classes(self) -> "GeneratedSettings":
        if not self.thin_classes and self.classes > _STURDY_CLASSES:
            raise ValueError(
                f"classes {self.classes}: without thin ones, {_STURDY_CLASSES} at most"
            )
        if self.subject == "furniture" and self.classes > _FURNITURE_CLASSES:
            raise ValueError(f"classes {self.classes}: of furniture, {_FURNITURE_CLASSES} at most")
        return self

    @property
    def size_range_px(self) -> tuple[float, float]:
        """The least and the greatest length of an object's longer side."""
        short_px = min(self.width_px, self.height_px)
        low_px = min(16.0, short_px / 8) if self.smallest_px is None else float(self.smallest_px)
        return low_px, 0.9 * short_px

    def image_count(self, split: Split) -> int:
        """Return the number of images of `split`."""
        return self.train_images if split == "train" else self.val_images

    def image_kind(self, index: int) -> ImageKind:
        """Return what image `index` shows; decided by index so that no split lacks a kind."""
        if _recurs(index, self.empty_image_share, _EMPTY_OFFSET):
            return "empty"
        if _recurs(index, self.crowd_image_share, _CROWD_OFFSET):
            return "crowd"
        return "ordinary"


class ImageStreams(NamedTuple):
    """Independent random streams of one image: more draws from one leave the others unchanged."""

    geometry: "np.random.Generator"
    texture: "np.random.Generator"
    annotation: "np.random.Generator"


def image_streams(seed: int, split: Split, index: int) -> ImageStreams:
    """Return the random streams of image `index` of `split`."""
    import numpy as np

    sequence = np.random.SeedSequence([seed, _SPLIT_SEEDS[split], index])
    return ImageStreams(*(np.random.default_rng(child) for child in sequence.spawn(3)))


def _recurs(index: int, share: float, offset: int) -> bool:
    """Whether `index` is one of `offset`, `offset + 1 / share`, `offset + 2 / share`, ..."""
    return share > 0 and index % round(1 / share) == offset
