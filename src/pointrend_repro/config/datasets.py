"""A data set: where its files lie, what it is scored by, and recipes of its own."""

from typing import Literal

from pydantic import Field, model_validator

from pointrend_repro.base.names import Name
from pointrend_repro.base.texts import Text
from pointrend_repro.config.metrics import Metric
from pointrend_repro.settings.generated import GeneratedSettings
from pointrend_repro.settings.instances import (
    InputSettings,
    OptimizerSettings,
    PositiveInt,
    ScheduleSettings,
    Strict,
)
from pointrend_repro.settings.semantic import SemanticInputSettings, SemanticOptimizerSettings

Layout = Literal["coco", "cityscapes"]

# What a data set can be scored by. Instances of Cityscapes become COCO annotations, too.
_METRICS_OF_LAYOUT: dict[str, tuple[Metric, ...]] = {
    "coco": ("coco_ap", "boundary_ap", "lvis_ap_star"),
    "cityscapes": ("cityscapes_ap", "coco_ap", "boundary_ap", "cityscapes_miou", "trimap_miou"),
}

_COCO_FILES = {
    "train_images",
    "train_annotations",
    "val_images",
    "val_annotations",
    "lvis_annotations",
}


class DatasetRecipe(Strict):
    """How instance models are trained."""

    input: InputSettings = InputSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    schedules: dict[Name, ScheduleSettings]


class SemanticRecipe(Strict):
    """How a semantic model is trained: PointRend's two on other crops and schedules."""

    input: SemanticInputSettings
    optimizer: SemanticOptimizerSettings = SemanticOptimizerSettings()
    schedules: dict[Name, ScheduleSettings]


AnyRecipe = DatasetRecipe | SemanticRecipe

# The recipe of a variant that names none.
INSTANCES = "instances"


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
    recipe: DatasetRecipe | None = Field(
        None, description="of instance models; with any recipe of its own, no paper's counts"
    )
    semantic_recipes: dict[Name, SemanticRecipe] = Field(
        {}, description="of semantic models, which name the one they take; for layout cityscapes"
    )

    @property
    def own_recipes(self) -> dict[str, AnyRecipe]:
        """The recipes that it brings, by name; if there are none, a paper's protocol counts."""
        instances: dict[str, AnyRecipe] = {INSTANCES: self.recipe} if self.recipe else {}
        return instances | self.semantic_recipes

    @property
    def trains_label_maps(self) -> bool:
        """Whether semantic models can be trained on it, so that its label images are checked."""
        return self.layout == "cityscapes" and (bool(self.semantic_recipes) or not self.recipe)

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
