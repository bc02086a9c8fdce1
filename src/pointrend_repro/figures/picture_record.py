"""What a picture of the page is made of, in `<picture>.json`: images, words and their origin."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from pointrend_repro.config.figure_plan import DrawnPicture
from pointrend_repro.figures.record import ModelUsed

# Nothing else may get into the page's `src` attributes.
DataUrl = Annotated[str, Field(pattern=r"^data:image/webp;base64,[A-Za-z0-9+/]+=*$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class EmbeddedImage(_Frozen):
    """A raster image inside of the record, with its size in pixels."""

    source: DataUrl
    width: int
    height: int
    alternative_text: str


class ComparedObject(_Frozen):
    """The masks of two heads over the same window of an image."""

    name: str
    image_id: int
    baseline: EmbeddedImage
    pointrend: EmbeddedImage


class SubdivisionStep(_Frozen):
    """One step of rendering a mask.

    Attributes:
        side: cells a side of the grid.
        points: how many of its cells are predicted in this step.
        grid: the grid before that, with the points; of the first step, what is predicted.
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


class PictureRecord(_Frozen):
    """A picture's words and origin, as of a figure (see `record.FigureRecord`)."""

    preset: str
    picture: DrawnPicture
    title: str
    caption: str
    warning: str | None
    dataset: str
    image_ids: list[int]
    models: list[ModelUsed]
    command: str
    git_commit: str | None
    code_digest: str


class ComparisonRecord(PictureRecord):
    """Objects with the masks of two heads each; the labels name these."""

    baseline_label: str
    pointrend_label: str
    objects: list[ComparedObject]


class SubdivisionRecord(PictureRecord):
    """One object's mask from the coarse prediction to the output resolution."""

    name: str
    steps: list[SubdivisionStep]
