"""A metric: what it reads, which numbers it has and which direction is better."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, get_args

from pointrend_repro.base.errors import UserError, suggest
from pointrend_repro.declarations.finding import Declared, outside_files

Layout = Literal["coco", "cityscapes"]

# A part of a data set, as `data.fingerprint` names it: annotations of the val split, LVIS
# annotations for the same images, or the folder with Cityscapes' label images.
Truth = Literal["val_annotations", "lvis_annotations", "val_label_images"]

PERCENT = "%"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric.

    Attributes:
        name: also that of the file, or of the entry point, that declares it.
        keys: the official tool's name of each number, with its unit.
        score: `module:function` of the code that computes it, imported on demand:
            `evaluation.score` defines how it is called, and `pipeline.steps.cost.run_cost` for one
            that reads no predictions.
        reads: the kind of predictions that it scores.
        scores: what of these it looks at, as `AnyModelSettings.predicts` names it, where some
            models of the kind predict no such thing; none: what all of them predict.
        counts: instead, the kind of predictions of models in which it counts something, untrained.
        families: those of models in which it can be counted; none: all of the kind.
        measured: what it counts is another number on another device, such as a time.
        counted_settings: dotted names of the model's settings that decide a count; none: all do.
        folder: of the results of a count, in `results/<preset>/`; none: its name.
        title: what all of its keys are, where its file is used for several columns; none: each
            column's own title.
        settings: of the official tool, where they are not its own; its record names them, too.
        truth: the part of a data set that predictions are scored against.
        layouts: of the data sets that have this ground truth.
        without_truth: why it is not run on a data set that lacks the ground truth.
        resample: `module:function` that prepares the scored images for the bootstrap
            (`evaluation.bootstrap.image_counts`); None: it has no interval over images.
        lower_is_better: the keys for which lower is better, such as times and errors.

    Raises:
        UserError: its fields contradict each other.
    """

    name: str
    keys: Mapping[str, str]
    score: str
    reads: str | None = None
    scores: str | None = None
    counts: str | None = None
    families: tuple[str, ...] = ()
    measured: bool = False
    counted_settings: tuple[str, ...] = ()
    folder: str | None = None
    title: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    truth: Truth | None = None
    layouts: tuple[Layout, ...] = ()
    without_truth: str = "the data set lacks what it is scored against"
    resample: str | None = None
    lower_is_better: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if (self.reads is None) == (self.counts is None):
            raise self._wrong("it either reads predictions or counts models")
        if (self.measured or self.families) and self.counts is None:
            raise self._wrong("measured and families are of counts; it reads predictions")
        if {self.truth is not None, bool(self.layouts)} != {self.reads is not None}:
            raise self._wrong("one that reads predictions has a truth and layouts, another none")
        if self.truth is not None:
            self._require([self.truth], get_args(Truth), "truth")
        self._require(self.layouts, get_args(Layout), "layout")
        self._require(self.lower_is_better, tuple(self.keys), "key")
        for path in (self.score, self.resample):
            if path is not None and not all(path.partition(":")):
                raise self._wrong(f"{path!r} is not of the form module:function")

    @property
    def kind(self) -> str:
        """The kind of predictions of the models that it measures."""
        return self.reads or self.counts or ""

    @property
    def rule(self) -> str:
        """The name of the rule that counts it."""
        return f"count_{self.folder or self.name}"

    @property
    def other_units(self) -> dict[str, str]:
        """The units of the keys that are not in percent."""
        return {key: unit for key, unit in self.keys.items() if unit != PERCENT}

    def outside_files(self) -> dict[str, str]:
        """Return the module and digest of each of its files that is not of this package."""
        paths = [path for path in (self.score, self.resample) if path is not None]
        return METRICS.files(self.name) | outside_files(path.partition(":")[0] for path in paths)

    def _require(self, given: Iterable[str], known: tuple[str, ...], what: str) -> None:
        for name in given:
            if name not in known:
                raise self._wrong(f"there is no {what} {name!r}{suggest(name, list(known))}")

    def _wrong(self, reason: str) -> UserError:
        return UserError(f"metric {self.name!r}: {reason}")


def percent(*keys: str) -> Mapping[str, str]:
    """Return the keys, each in percent."""
    return MappingProxyType(dict.fromkeys(keys, PERCENT))


METRICS = Declared(
    what="metric",
    declaration=Metric,
    folder="pointrend_repro.declarations.metrics",
    attribute="METRIC",
    group="pointrend_repro.metrics",
)
