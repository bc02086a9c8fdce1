"""A variant: a model, who trains it and how long, and the ways to run it."""

from pydantic import Field

from pointrend_repro.base.names import Name
from pointrend_repro.base.texts import Text
from pointrend_repro.settings.instances import (
    OWN_ENGINE,
    Engine,
    InferenceSettings,
    ModelSettings,
    Strict,
)
from pointrend_repro.settings.semantic import SemanticInferenceSettings, SemanticModelSettings
from pointrend_repro.settings.start_from import StartFrom


class Variant(Strict):
    """A model and its schedule: one row, or a few, of the paper's tables."""

    title: Text
    source: Text = Field(description="where in the paper this model is described")
    engine: Engine = Field(OWN_ENGINE, description="who trains it; docs/detectron2.md")
    model: ModelSettings
    schedule: Name
    start_from: StartFrom | None = None
    inference: dict[Name, InferenceSettings]


class SemanticVariant(Strict):
    """A semantic model and its recipe. Its model has a `decoder`, by which it is told apart."""

    title: Text
    source: Text = Field(description="where in the paper this model is described")
    engine: Engine = Field(OWN_ENGINE, description="who trains it; docs/detectron2.md")
    model: SemanticModelSettings
    recipe: Name = Field(description="one of the data set's semantic_recipes")
    schedule: Name
    start_from: StartFrom | None = None
    inference: dict[Name, SemanticInferenceSettings]


AnyVariant = Variant | SemanticVariant
