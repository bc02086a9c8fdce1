"""The JSON record of a figure or a picture: its text, its images and its origin."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

# Nothing else may be used in the page's `src` attributes.
DataUrl = Annotated[str, Field(pattern=r"^data:image/webp;base64,[A-Za-z0-9+/]+=*$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


class ModelUsed(_Frozen):
    """One trained model. `file` is relative to `results/<preset>/`; the rest is of its training.

    `model_digest` is that of the file (`digests.content_digest`); older records do not have it.
    """

    file: str
    model_digest: str | None = None
    settings_digest: str
    git_commit: str | None
    code_digest: str


class ScoreUsed(_Frozen):
    """One file of numbers, relative to `results/<preset>/`; the digest is of what it says."""

    file: str
    output_digest: str | None


class Record(_Frozen):
    """A drawing made from trained models, in words, and its origin.

    Attributes:
        title: what it is, such as the number of the paper's figure.
        caption: what it shows, and how that was chosen.
        image_ids: of the validation images, in the order shown.
        git_commit: of the code that drew it; `code_digest` is of the same code.
        scores: the numbers that it plots; no key if there are none.
        outside_code: code from outside this package that took part, in the form of a number's
            versions; no key if there is none.
    """

    preset: str
    title: str
    caption: str
    warning: str | None
    dataset: str
    image_ids: list[int]
    models: list[ModelUsed]
    scores: list[ScoreUsed] = []
    command: str
    git_commit: str | None
    code_digest: str
    outside_code: dict[str, str] = {}

    def written(self) -> dict[str, Any]:
        """The record as plain JSON values."""
        unsaid = {key for key in ("outside_code", "scores") if not getattr(self, key)}
        return self.model_dump(mode="json", by_alias=True, exclude=unsaid)


class FigureRecord(Record):
    """A figure; `alternative_text` says what it shows, for readers who cannot see it."""

    figure: str
    alternative_text: str


class PictureRecord(Record):
    """A picture of the page."""

    picture: str


class EmbeddedImage(_Frozen):
    """A raster image inside the record, with its size in pixels."""

    source: DataUrl
    width: int
    height: int
    alternative_text: str


class ComparedObject(_Frozen):
    """The masks of two models over the same window of an image.

    The second is called `pointrend` in the files, since the first such pictures were PointRend's.
    """

    name: str
    image_id: int
    baseline: EmbeddedImage
    other: EmbeddedImage = Field(alias="pointrend")


class ComparisonRecord(PictureRecord):
    """Objects with the masks of two models each, whose names are the labels."""

    baseline_label: str
    other_label: str = Field(alias="pointrend_label")
    objects: list[ComparedObject]


class SubdivisionStep(_Frozen):
    """One step of rendering a mask.

    Attributes:
        side: cells per side of the grid.
        points: how many of its cells are predicted in this step.
        grid: the grid before that, with the points; for the first step, what is predicted.
        mask: the grid afterwards, as a mask.
    """

    side: int
    points: int
    grid: EmbeddedImage
    mask: EmbeddedImage

    @property
    def cells(self) -> int:
        """How many cells the grid has."""
        return self.side**2


class SubdivisionRecord(PictureRecord):
    """One object's mask from the coarse prediction to the output resolution."""

    name: str
    steps: list[SubdivisionStep]


class ShownImage(_Frozen):
    """A validation image with its annotated objects, and with those that a model finds.

    Attributes:
        name: of the file.
        quality: from 0 to 1, as the caption says.
    """

    name: str
    image_id: int
    quality: float
    found: int
    missed: int
    extra: int
    truth: EmbeddedImage
    predicted: EmbeddedImage


class ValidationRecord(PictureRecord):
    """Validation images, the worst first; `label` is of the model."""

    label: str
    images: list[ShownImage]


# By `template` in figures.yaml.
PICTURE_RECORDS: dict[str, type[PictureRecord]] = {
    "comparison": ComparisonRecord,
    "subdivision": SubdivisionRecord,
    "validation": ValidationRecord,
}
