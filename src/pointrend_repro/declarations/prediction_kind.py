"""A kind of predictions: what a model leaves of a data set on disk, for metrics to score."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.names import is_file_name
from pointrend_repro.base.origins import origin_path
from pointrend_repro.declarations.finding import Declared

# The fewest and the most.
Bytes = tuple[float, float]


class PredictedSizes(Protocol):
    """What `config/speeds.yaml` knows of the predictions of a data set, each fewest and most."""

    @property
    def detections(self) -> tuple[float, float]:
        """How many objects are found in an image."""
        ...

    @property
    def detection_bytes(self) -> Bytes:
        """What one of them takes."""
        ...

    @property
    def label_image_bytes(self) -> Bytes:
        """What the label map of an image takes."""
        ...


@dataclass(frozen=True, kw_only=True)
class PredictionKind:
    """One kind of predictions.

    Attributes:
        name: also that of the file, or of the entry point, which declares it.
        path: the file in a prediction's folder, or the folder in it, that holds them.
        title: what a reader is told that they are.
        models: the models which predict it, in words for messages.
        image_bytes: what they take of an image on disk, fewest and most.
        has_boxes: whether it is a file of COCO's results with a `bbox` each, which can be given to
            other models as proposals.
        is_folder: whether `path` is a folder, of a file an image.
        rule_ending: of the name of the rule that makes them, after `predict`.

    Raises:
        UserError: `path` is no name of a file.
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
            raise UserError(f"predictions {self.name!r}: path {self.path!r} is no name of a file")

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
