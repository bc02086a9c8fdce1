"""A variant: a model, who trains it and how long, and the ways to run it."""

from pydantic import Field

from pointrend_repro.base.names import Name
from pointrend_repro.base.texts import Text
from pointrend_repro.config.datasets import INSTANCES
from pointrend_repro.settings.instances import (
    OWN_ENGINE,
    Engine,
    InferenceSettings,
    ModelSettings,
    Strict,
)
from pointrend_repro.settings.semantic import SemanticInferenceSettings, SemanticModelSettings

_WHOSE = (
    "by whose protocol it is trained; none: that of the paper in whose folder the file lies, of "
    "what it is the same as, or the first of the preset's"
)


class Variant(Strict):
    """A model and its schedule: one row, or a few, of the paper's tables."""

    title: Text
    source: Text = Field(description="where in the paper this model is described")
    engine: Engine = Field(OWN_ENGINE, description="who trains it; docs/detectron2.md")
    model: ModelSettings
    paper: Name | None = Field(None, description=_WHOSE)
    recipe: Name = Field(INSTANCES, description="one of the paper's or the data set's")
    schedule: Name
    inference: dict[Name, InferenceSettings]


class SemanticVariant(Strict):
    """A semantic model and its recipe. Its model has a `decoder`, by which it is told apart."""

    title: Text
    source: Text = Field(description="where in the paper this model is described")
    engine: Engine = Field(OWN_ENGINE, description="who trains it; docs/detectron2.md")
    model: SemanticModelSettings
    paper: Name | None = Field(None, description=_WHOSE)
    recipe: Name = Field(description="one of the paper's, or of the data set's semantic_recipes")
    schedule: Name
    inference: dict[Name, SemanticInferenceSettings]


AnyVariant = Variant | SemanticVariant
