"""A kind of predictions: what a model writes for a data set, for metrics to score."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.names import is_file_name
from pointrend_repro.base.origins import origin_path
from pointrend_repro.declarations.finding import Declared

# Minimum and maximum.
Bytes = tuple[float, float]


class PredictedSizes(Protocol):
    """Sizes of a data set's predictions in `config/speeds.yaml`, minimum and maximum each."""

    @property
    def detections(self) -> tuple[float, float]:
        """How many objects are found per image."""
        ...

    @property
    def detection_bytes(self) -> Bytes:
        """Bytes per object."""
        ...

    @property
    def label_image_bytes(self) -> Bytes:
        """Bytes of an image's label map."""
        ...


@dataclass(frozen=True, kw_only=True)
class PredictionKind:
    """One kind of predictions.

    Attributes:
        name: also that of the file, or of the entry point, that declares it.
        path: the file, or the folder, in a prediction's folder that holds them.
        title: what they are, for readers.
        models: the models that predict it, in words for messages.
        image_bytes: what they take on disk per image, minimum and maximum.
        has_boxes: whether it is a file of COCO's results with a `bbox` each, which can be given to
            other models as proposals.
        is_folder: whether `path` is a folder with one file per image.
        rule_ending: of the name of the rule that makes them, after `predict`.

    Raises:
        UserError: `path` is not a file name.
    """

    name: str
    path: str
    title: str
    models: str
    image_bytes: Callable[[PredictedSizes], Bytes]
    has_boxes: bool = False
    is_folder: bool = False
    rule_ending: str | None = None

    def __post_init__(self) -> None:
        if not is_file_name(self.path):
            raise UserError(f"predictions {self.name!r}: path {self.path!r} is not a file name")

    @property
    def origin(self) -> str:
        """The name of the record beside them."""
        return origin_path(Path(self.path)).name

    @property
    def rule(self) -> str:
        """The name of the rule that makes them."""
        return f"predict_{self.name}" if self.rule_ending is None else f"predict{self.rule_ending}"


PREDICTION_KINDS = Declared(
    what="kind of predictions",
    declaration=PredictionKind,
    folder="pointrend_repro.declarations.predictions",
    attribute="KIND",
    group="pointrend_repro.predictions",
)
