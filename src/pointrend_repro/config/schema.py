"""What the files of `config/` hold: presets, variants, data sets and tables.

Every class refuses unknown keys. `reading.py` reads the files.
"""

from typing import Any, Literal, get_args

from pydantic import Field, model_validator

from pointrend_repro.base.errors import suggest
from pointrend_repro.base.names import Name
from pointrend_repro.base.texts import Text
from pointrend_repro.config.figure_plan import FigureName, PictureName
from pointrend_repro.config.metrics import Metric, require_key
from pointrend_repro.settings.generated import GeneratedSettings
from pointrend_repro.settings.instances import (
    OWN_ENGINE,
    Engine,
    InferenceSettings,
    InputSettings,
    MaskHeadSettings,
    ModelSettings,
    OptimizerSettings,
    PositiveFloat,
    PositiveInt,
    ScheduleSettings,
    Strict,
)
from pointrend_repro.settings.semantic import (
    DecoderSettings,
    SemanticInferenceSettings,
    SemanticInputSettings,
    SemanticModelSettings,
    SemanticOptimizerSettings,
)

# Those of label maps; all others are of instances, or count.
SEMANTIC_METRICS = {"cityscapes_miou", "trimap_miou"}

# What a data set can be scored by. Instances of Cityscapes become COCO annotations, too.
_METRICS_OF_LAYOUT: dict[str, tuple[Metric, ...]] = {
    "coco": ("coco_ap", "boundary_ap", "lvis_ap_star"),
    "cityscapes": ("cityscapes_ap", "coco_ap", "boundary_ap", "cityscapes_miou", "trimap_miou"),
}


def _kinds(union: Any) -> list[str]:
    """Values of `kind` of the members of a discriminated union of settings."""
    members = get_args(get_args(union)[0])
    return [get_args(member.model_fields["kind"].annotation)[0] for member in members]


def _require_kinds(key: str, given: dict[str, Any], kinds: list[str]) -> None:
    for kind in given:
        if kind not in kinds:
            raise ValueError(f"{key} has no kind {kind!r}{suggest(kind, kinds)}")


_MASK_HEADS = _kinds(MaskHeadSettings)


_DECODERS = _kinds(DecoderSettings)


_COCO_FILES = {
    "train_images",
    "train_annotations",
    "val_images",
    "val_annotations",
    "lvis_annotations",
}


class Variant(Strict):
    """A model and its schedule: one row, or a few, of the paper's tables."""

    title: Text
    source: Text = Field(description="where in the paper this model is described")
    engine: Engine = Field(OWN_ENGINE, description="who trains it; docs/detectron2.md")
    model: ModelSettings
    schedule: Name
    inference: dict[Name, InferenceSettings]


class SemanticVariant(Strict):
    """A semantic model and its recipe. Its model has a `decoder`, by which it is told apart."""

    title: Text
    source: Text = Field(description="where in the paper this model is described")
    engine: Engine = Field(OWN_ENGINE, description="who trains it; docs/detectron2.md")
    model: SemanticModelSettings
    recipe: Name = Field(description="one of the data set's semantic_recipes")
    schedule: Name
    inference: dict[Name, SemanticInferenceSettings]


AnyVariant = Variant | SemanticVariant


class DatasetRecipe(Strict):
    """How the paper trains on this data set."""

    input: InputSettings = InputSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    schedules: dict[Name, ScheduleSettings]


class SemanticRecipe(Strict):
    """How the paper trains a semantic model: each of its two on other crops and schedules."""

    input: SemanticInputSettings
    optimizer: SemanticOptimizerSettings = SemanticOptimizerSettings()
    schedules: dict[Name, ScheduleSettings]


Layout = Literal["coco", "cityscapes"]


class Dataset(Strict):
    """A data set in its official layout. Paths are relative to `root`."""

    title: Text
    layout: Layout
    root: str | None = Field(description="folder on disk; none: the user names it by `data_root`")
    train_images: str = "train2017"
    train_annotations: str = "annotations/instances_train2017.json"
    val_images: str = "val2017"
    val_annotations: str = "annotations/instances_val2017.json"
    lvis_annotations: str | None = None
    generate: GeneratedSettings | None = None
    num_classes: PositiveInt | None = Field(description="none: as many as the annotations list")
    classes: tuple[str, ...] | None = Field(
        None, description="their names by rising id; none: those that the annotations list"
    )
    metrics: tuple[Metric, ...] | None = Field(
        None, description="it is scored by; none: all that its layout allows"
    )
    recipe: DatasetRecipe = Field(description="of instance models")
    semantic_recipes: dict[Name, SemanticRecipe] = Field(
        {}, description="of semantic models, which name the one they take; for layout cityscapes"
    )

    @property
    def scored_by(self) -> tuple[Metric, ...]:
        """The metrics whose columns its tables have."""
        return _METRICS_OF_LAYOUT[self.layout] if self.metrics is None else self.metrics

    @model_validator(mode="after")
    def _metrics_are_of_the_layout(self) -> "Dataset":
        possible = _METRICS_OF_LAYOUT[self.layout]
        others = [metric for metric in self.scored_by if metric not in possible]
        if others or not self.scored_by:
            raise ValueError(
                f"metrics {', '.join(others) or 'has none'}: data in layout {self.layout} can be "
                f"scored by {', '.join(possible)}"
            )
        return self

    @model_validator(mode="after")
    def _classes_are_counted_right(self) -> "Dataset":
        names, number = self.classes, self.num_classes
        if names is not None and number not in {None, len(names)}:
            raise ValueError(f"num_classes {number}, but {len(names)} names in classes")
        return self

    @model_validator(mode="after")
    def _only_cityscapes_labels_all_pixels(self) -> "Dataset":
        if self.semantic_recipes and self.layout != "cityscapes":
            raise ValueError(f"semantic_recipes: layout {self.layout} has no label images")
        return self

    @model_validator(mode="after")
    def _only_coco_files_have_other_names(self) -> "Dataset":
        named = sorted(self.model_fields_set & _COCO_FILES)
        if named and self.layout != "coco":
            raise ValueError(f"{named}: only for layout coco; {self.layout} has fixed names")
        return self


class Column(Strict):
    """One column of a table: a metric of models trained on one data set, or a count."""

    title: Text
    heading: tuple[Text, ...] = Field(
        (), max_length=2, description="as printed, the heading over several first; none: the title"
    )
    dataset: Name | None = Field(None, description="none: the models are counted, not trained")
    metric: Metric
    value: Text = Field(description="key of the metric, as the official tool names it")
    unit: Text = "%"
    tolerance: PositiveFloat | Literal["rounding"] = Field(
        description="|measured - paper| up to which it reproduces; rounding: to the paper's digits"
    )
    tolerance_source: Text

    @model_validator(mode="after")
    def _only_costs_need_no_data(self) -> "Column":
        if (self.dataset is None) != (self.metric == "mask_head_cost"):
            raise ValueError(f"metric {self.metric} and dataset {self.dataset} do not go together")
        return self

    @model_validator(mode="after")
    def _the_metric_has_the_key(self) -> "Column":
        require_key(self.metric, self.value, self.unit)
        return self


class Row(Strict):
    """One row of a table: a variant with one way to run it, and the paper's numbers by column."""

    title: Text
    stub: tuple[Text, ...] = Field(
        (), description="as printed, under the table's stub_headings; none: the title"
    )
    starts_group: bool = Field(False, description="the paper leaves a gap above this row")
    variant: Name
    inference: Name
    paper: dict[Name, int | float] = Field(description="as printed: 34 is not 34.0")


class Table(Strict):
    """A table of the paper; a new table is a new file."""

    title: Text
    caption: Text
    source: Text
    stub_headings: tuple[Text, ...] = Field(
        (), description="of the columns that name the rows, as printed; none: one, the rows' titles"
    )
    columns: dict[Name, Column]
    rows: dict[Name, Row]

    def with_columns(self, names: set[str]) -> "Table":
        """Return the table with some of its columns alone."""
        rows = {
            key: row.model_copy(
                update={"paper": {k: row.paper[k] for k in row.paper if k in names}}
            )
            for key, row in self.rows.items()
        }
        columns = {key: column for key, column in self.columns.items() if key in names}
        return self.model_copy(update={"columns": columns, "rows": rows})

    @model_validator(mode="after")
    def _stubs_have_headings(self) -> "Table":
        for key, row in self.rows.items():
            if row.stub and len(row.stub) != len(self.stub_headings):
                raise ValueError(
                    f"row {key!r} has {len(row.stub)} stub entries for "
                    f"{len(self.stub_headings)} stub_headings"
                )
        return self

    @model_validator(mode="after")
    def _numbers_have_columns(self) -> "Table":
        for key, row in self.rows.items():
            unknown = sorted(set(row.paper) - set(self.columns))
            if unknown:
                raise ValueError(f"row {key!r} has numbers for {unknown}, which are no columns")
        return self


class SemanticOverrides(Strict):
    """What a preset changes of semantic models; nothing else of it but `run` reaches them."""

    model: dict[str, Any] = {}
    decoder: dict[str, dict[str, Any]] = Field({}, description="by the kind of decoder")
    pointrend: dict[str, Any] = Field({}, description="of the models that have it")
    input: dict[str, Any] = {}
    optimizer: dict[str, Any] = {}
    schedule: dict[str, Any] = {}

    @model_validator(mode="after")
    def _decoders_exist(self) -> "SemanticOverrides":
        _require_kinds("decoder", self.decoder, _DECODERS)
        return self


class Overrides(Strict):
    """What a preset changes to scale the pipeline, merged over variant and data set."""

    model: dict[str, Any] = {}
    mask_head: dict[str, dict[str, Any]] = Field({}, description="by the kind of head")
    input: dict[str, Any] = {}
    optimizer: dict[str, Any] = {}
    schedule: dict[str, Any] = {}
    run: dict[str, Any] = Field({}, description="of all models")
    semantic: SemanticOverrides = SemanticOverrides()

    @model_validator(mode="after")
    def _mask_heads_exist(self) -> "Overrides":
        _require_kinds("mask_head", self.mask_head, _MASK_HEADS)
        return self


class Preset(Strict):
    """The tables to fill and the figures to draw, on which data, at which scale."""

    title: Text
    warning: Text | None = Field(description="printed wherever a number of this preset stands")
    tables: list[Name]
    figures: list[FigureName] = []
    pictures: list[PictureName] = Field([], description="of the page, beside the figures")
    datasets: dict[Name, Name] = Field(description="a table's data set -> the one to use for it")
    trials: dict[Name, PositiveInt] = Field(description="by a table's data set; median reported")
    needs_gpu: bool = Field(False, description="refuse to train without one, unless told to")
    resamples: PositiveInt = Field(
        1000, description="of the validation images, for the intervals of the claims"
    )
    overrides: Overrides = Overrides()

    @model_validator(mode="after")
    def _trials_match_datasets(self) -> "Preset":
        if set(self.trials) != set(self.datasets):
            raise ValueError(f"trials {sorted(self.trials)} must name {sorted(self.datasets)}")
        return self
