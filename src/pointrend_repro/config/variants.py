"""A variant: a model, who trains it and how long, and the ways to run it."""

from functools import cache
from typing import Any, NamedTuple

from pydantic import Field, create_model, model_validator

from pointrend_repro.base.names import Name
from pointrend_repro.base.texts import Text
from pointrend_repro.declarations.family import FAMILIES
from pointrend_repro.declarations.prediction_kind import PREDICTION_KINDS, PredictionKind
from pointrend_repro.settings.of_family import AnyInferenceSettings, AnyModelSettings
from pointrend_repro.settings.proposals_from import ProposalsFrom
from pointrend_repro.settings.schedule import OWN_ENGINE, Engine
from pointrend_repro.settings.start_from import StartFrom
from pointrend_repro.settings.values import Strict

_WHOSE = (
    "by whose protocol it is trained; none: that of the paper in whose folder the file lies, of "
    "what it is the same as, or the first of the preset's"
)


class Source(NamedTuple):
    """A training that another one builds on; `dataset` is a role, or that of the follower."""

    variant: str
    dataset: str | None


class Variant(Strict):
    """A model and its schedule: one row, or a few, of the paper's tables.

    `variant_class` gives `model` and `inference` the types of a family.
    """

    title: Text
    source: Text = Field(description="where in the paper this model is described")
    engine: Engine = Field(OWN_ENGINE, description="who trains it; docs/detectron2.md")
    family: Name = Field(description="the kind of model; none: told by whether it has a decoder")
    model: Any
    paper: Name | None = Field(None, description=_WHOSE)
    recipe: Name = Field(description="one of the paper's or the data set's")
    schedule: Name
    start_from: StartFrom | None = None
    proposals_from: ProposalsFrom | None = None
    inference: dict[Name, Any]

    @model_validator(mode="after")
    def _is_given_what_it_counts(self) -> "Variant":
        for name, way in self.inference.items():
            test = getattr(way, "test", None)
            if self.proposals_from is None and getattr(test, "given_proposals", None) is not None:
                raise ValueError(f"inference.{name}.test.given_proposals needs proposals_from")
        return self

    @property
    def sources(self) -> tuple[Source, ...]:
        """The trainings that its own one builds on."""
        start, boxes = self.start_from, self.proposals_from
        found = []
        if start is not None and start.variant is not None:
            found.append(Source(start.variant, start.dataset))
        if boxes is not None:
            found.append(Source(boxes.variant, boxes.dataset))
        return tuple(found)


def variant_class(family: str) -> type[Variant]:
    """Return the class of the variants of a family.

    Raises:
        UserError: there is no such family.
    """
    found = FAMILIES.find(family)
    if not found.is_trained:
        return _untrained_class(found.model, found.inference)
    return _variant_class(found.model, found.inference, found.default_recipe)


@cache
def _untrained_class(
    model: type[AnyModelSettings], inference: type[AnyInferenceSettings]
) -> type[Variant]:
    no: Any = dict.fromkeys(("recipe", "schedule", "start_from", "proposals_from"), (None, None))
    return create_model(
        "Variant",
        __base__=Variant,
        model=(model, ...),
        inference=(dict[Name, inference], ...),  # type: ignore[valid-type]
        **no,
    )


@cache
def _variant_class(
    model: type[AnyModelSettings], inference: type[AnyInferenceSettings], default: str | None
) -> type[Variant]:
    recipe: Any = Variant.model_fields["recipe"]
    if default is not None:
        recipe = Field(default, description=recipe.description)
    return create_model(
        "Variant",
        __base__=Variant,
        model=(model, ...),
        recipe=(Name, recipe),
        inference=(dict[Name, inference], ...),  # type: ignore[valid-type]
    )


def kind_of(variant: Variant) -> PredictionKind:
    """Return the kind of predictions that a variant's models make."""
    return PREDICTION_KINDS.find(FAMILIES.find(variant.family).predictions)


def is_trained(variant: Variant) -> bool:
    """Return whether a variant's predictions come from trained models."""
    return FAMILIES.find(variant.family).is_trained


def together(variant: Variant, inference: str) -> tuple[str, ...]:
    """Return the variants that predict together with one, by one of its ways.

    None do if it has no such way, which is refused where all rows are checked.
    """
    ensemble = getattr(variant.inference.get(inference), "ensemble", None)
    return () if ensemble is None else ensemble.variants
