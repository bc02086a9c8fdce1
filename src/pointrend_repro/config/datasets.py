"""A data set: where its files lie, what it is scored by, and recipes of its own."""

from typing import Any

from pydantic import Field, NonNegativeInt, field_validator, model_validator

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.names import Name
from pointrend_repro.base.texts import Text
from pointrend_repro.config.metrics import MetricName
from pointrend_repro.config.recipes import read_recipe
from pointrend_repro.declarations.metric import METRICS, Layout
from pointrend_repro.settings.generated import GeneratedSettings
from pointrend_repro.settings.instances import DatasetRecipe
from pointrend_repro.settings.of_family import Recipe
from pointrend_repro.settings.semantic import SemanticRecipe
from pointrend_repro.settings.values import PositiveInt, Strict

_COCO_FILES = {
    "train_images",
    "train_annotations",
    "val_images",
    "val_annotations",
    "lvis_annotations",
    "val_first",
    "val_from_train",
}
_ANNOTATIONS = ("train_annotations", "val_annotations")


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
    val_first: PositiveInt | None = Field(
        None, description="how many images of val are used, the first by rising id; none: all"
    )
    val_from_train: PositiveInt | None = Field(
        None, description="how many images of train are taken out of it for val; none: it has a val"
    )
    split_seed: NonNegativeInt = Field(0, description="decides which images val_from_train takes")
    obtained: Text | None = Field(
        None, description="how the user gets it, told where it is not there; none: by data fetch"
    )
    generate: GeneratedSettings | None = None
    num_classes: PositiveInt | None = Field(description="none: as many as the annotations list")
    classes: tuple[str, ...] | None = Field(
        None, description="their names by rising id; none: those that the annotations list"
    )
    metrics: tuple[MetricName, ...] | None = Field(
        None, description="it is scored by; none: all that its layout allows"
    )
    recipe: DatasetRecipe | None = Field(
        None, description="of instance models; with any recipe of its own, no paper's counts"
    )
    semantic_recipes: dict[Name, SemanticRecipe] = Field(
        {}, description="of semantic models, which name the one they take; for layout cityscapes"
    )
    recipes: dict[Name, Any] = Field({}, description="of any models; each may say its `family`")

    @field_validator("recipes")
    @classmethod
    def _recipes_are_of_families(cls, recipes: dict[str, Any]) -> dict[str, Any]:
        try:
            return {name: read_recipe(values, name) for name, values in recipes.items()}
        except UserError as error:
            raise ValueError(str(error)) from None

    @property
    def unusual_annotations(self) -> list[str]:
        """Annotation files below `root` that are not its layout's usual ones, LVIS's among them.

        They may be downloads of their own, beside that of the folder.
        """
        usual = {key: type(self).model_fields[key].default for key in _ANNOTATIONS}
        found = [getattr(self, key) for key in _ANNOTATIONS if getattr(self, key) != usual[key]]
        return [file for file in [*found, self.lvis_annotations] if file]

    @property
    def is_prepared(self) -> bool:
        """Whether `data prepare` writes annotations for it."""
        return self.layout == "cityscapes" or bool(self.val_first or self.val_from_train)

    @property
    def own_recipes(self) -> dict[str, Recipe]:
        """The recipes that it brings, by name; if there are none, a paper's protocol counts."""
        instances: dict[str, Recipe] = {"instances": self.recipe} if self.recipe else {}
        return instances | self.semantic_recipes | self.recipes

    @property
    def trains_label_maps(self) -> bool:
        """Whether semantic models can be trained on it, so that its label images are checked."""
        return self.layout == "cityscapes" and (bool(self.semantic_recipes) or not self.recipe)

    def is_scored_by(self, metric: str) -> bool:
        """Whether its tables have the columns of a metric."""
        if self.metrics is not None and metric not in self.metrics:
            return False
        return self.layout in METRICS.find(metric).layouts

    @model_validator(mode="after")
    def _metrics_are_of_the_layout(self) -> "Dataset":
        others = [metric for metric in self.metrics or () if not self.is_scored_by(metric)]
        if others or self.metrics == ():
            possible = [metric.name for metric in METRICS.all() if self.layout in metric.layouts]
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
    def _val_is_taken_in_one_way(self) -> "Dataset":
        others = sorted(self.model_fields_set & {"val_first", "val_images", "val_annotations"})
        if self.val_from_train is not None and others:
            raise ValueError(f"{others}: with val_from_train, val is a part of train")
        if self.val_from_train is None and self.split_seed:
            raise ValueError("split_seed: only with val_from_train")
        return self

    @model_validator(mode="after")
    def _subjects_are_drawn_for_coco(self) -> "Dataset":
        subject = self.generate.subject if self.generate else "things"
        if subject != "things" and self.layout != "coco":
            raise ValueError(f"generate.subject {subject}: for layout coco, not {self.layout}")
        return self

    @model_validator(mode="after")
    def _only_coco_files_have_other_names(self) -> "Dataset":
        named = sorted(self.model_fields_set & _COCO_FILES)
        if named and self.layout != "coco":
            raise ValueError(f"{named}: only for layout coco; {self.layout} has fixed names")
        return self
