"""A preset: which tables to fill, on which data, at which scale."""

from typing import Annotated, Any, get_args

from pydantic import AfterValidator, Field, model_validator

from pointrend_repro.base.errors import suggest
from pointrend_repro.base.names import Name
from pointrend_repro.base.texts import Text
from pointrend_repro.config.figure_plan import FigureName, PictureName
from pointrend_repro.settings.instances import MaskHeadSettings, PositiveInt, Strict
from pointrend_repro.settings.semantic import DecoderSettings
from pointrend_repro.settings.start_from import StartFrom


def _kinds(union: Any) -> list[str]:
    """Values of `kind` of the members of a discriminated union of settings."""
    members = get_args(get_args(union)[0])
    return [get_args(member.model_fields["kind"].annotation)[0] for member in members]


def _require_kinds(key: str, given: dict[str, Any], kinds: list[str]) -> None:
    for kind in given:
        if kind not in kinds:
            raise ValueError(f"{key} has no kind {kind!r}{suggest(kind, kinds)}")


def _is_a_file(start: StartFrom) -> StartFrom:
    if start.weights is None:
        raise ValueError("a preset names weights; which training to start from says a variant")
    return start


# Of the models whose variant says nothing of it.
StartFromFile = Annotated[StartFrom, AfterValidator(_is_a_file)]


_MASK_HEADS = _kinds(MaskHeadSettings)


_DECODERS = _kinds(DecoderSettings)


class SemanticOverrides(Strict):
    """What a preset changes of semantic models; nothing else of it but `run` reaches them."""

    model: dict[str, Any] = {}
    decoder: dict[str, dict[str, Any]] = Field({}, description="by the kind of decoder")
    pointrend: dict[str, Any] = Field({}, description="of the models that have it")
    input: dict[str, Any] = {}
    optimizer: dict[str, Any] = {}
    schedule: dict[str, Any] = {}
    start_from: StartFromFile | None = None

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
    start_from: StartFromFile | None = None
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
