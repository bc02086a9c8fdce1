"""A preset: whose tables to fill, on which data, at which scale."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator, model_validator

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.json_text import shown
from pointrend_repro.base.names import Name
from pointrend_repro.base.texts import Text
from pointrend_repro.config.yaml_files import validate
from pointrend_repro.declarations.family import FAMILIES, Family
from pointrend_repro.settings.instances import DetectorOverrides
from pointrend_repro.settings.of_family import FamilyOverrides
from pointrend_repro.settings.semantic import SemanticOverrides
from pointrend_repro.settings.values import PositiveInt, Strict

# Each is a training of every variant; far more is a seed or a date that was typed as a number.
_MOST_TRIALS = 1000
# 2 / 40 is 5 %: with fewer resamples the outermost of them lie within the 95 % interval.
LEAST_RESAMPLES = 40


def _trials(value: Any) -> range:
    """Return the trials that a number of them, or a text such as 3..5, stands for.

    Raises:
        ValueError: it stands for none, or for more than a person can mean.
    """
    span = re.fullmatch(r"(\d+)\.\.(\d+)", value) if isinstance(value, str) else None
    first, last = (int(span[1]), int(span[2])) if span else (0, -1)
    if type(value) is int:
        last = value - 1
    if last < first:
        raise ValueError(f"{value!r} must be a number above 0, or the first and the last: 3..5")
    if last - first >= _MOST_TRIALS:
        raise ValueError(
            f"{shown(value)} is more than {_MOST_TRIALS} trials; a single seed N is written N..N"
        )
    return range(first, last + 1)


def _checked(value: Any) -> Any:
    _trials(value)
    return value


_Trials = Annotated[
    Annotated[PositiveInt, Field(le=_MOST_TRIALS)] | Annotated[str, Field(pattern=r"^\d+\.\.\d+$")],
    BeforeValidator(_checked),
]


class Overrides(DetectorOverrides):
    """What a preset changes to scale the pipeline: of detectors, of all models, and of others."""

    run: dict[str, Any] = Field({}, description="of all models")
    semantic: SemanticOverrides = SemanticOverrides()
    families: dict[Name, Any] = Field({}, description="of other models, by family")

    @field_validator("families")
    @classmethod
    def _families_exist(cls, families: dict[str, Any]) -> dict[str, Any]:
        placed = {"mask_rcnn", "semantic"} & set(families)
        if placed:
            raise ValueError(f"what is of {min(placed)} has its own place, outside of families")
        try:
            return {
                name: validate(FAMILIES.find(name).overrides, values, name)
                for name, values in families.items()
            }
        except UserError as error:
            raise ValueError(str(error)) from None

    def by_family(self) -> dict[str, FamilyOverrides]:
        """Return what is changed of each family; these two had their places before the others."""
        return {"mask_rcnn": self, "semantic": self.semantic} | self.families

    def of_family(self, family: Family) -> FamilyOverrides:
        """Return what is changed of one family."""
        return self.by_family().get(family.name) or family.overrides()


class Preset(Strict):
    """The tables to fill and the figures to draw, on which data, at which scale."""

    title: Text
    warning: Text | None = Field(description="printed wherever a number of this preset stands")
    papers: list[Name] = Field(["pointrend"], min_length=1, description="whose numbers to make")
    tables: list[Name] | None = Field(None, description="none: all of its papers")
    figures: list[Name] = Field([], description="[all]: those of its papers")
    pictures: list[Name] = Field([], description="of the page, beside the figures")
    datasets: dict[Name, Name] = Field(description="a table's data set -> the one to use for it")
    trials: dict[Name, _Trials] = Field(
        description="by a table's data set: how many, whose seeds are 0, 1 and so on, or which "
        "seeds, such as 3..5; the median is reported"
    )
    judges_claims: bool = Field(
        False,
        description="although it has a warning: its numbers are not the paper's, but their "
        "differences can bear out what the paper says",
    )
    needs_gpu: bool = Field(False, description="refuse to train without one, unless told to")
    resamples: PositiveInt = Field(
        1000,
        description="of the validation images, for the intervals of the claims; "
        f"{LEAST_RESAMPLES} at least where claims are judged",
    )
    scale: Name | None = Field(None, description="a file of config/scales, under `overrides`")
    overrides: Overrides = Overrides()

    @property
    def has_verdicts(self) -> bool:
        """Whether the paper's claims are judged by its numbers."""
        return self.warning is None or self.judges_claims

    @model_validator(mode="after")
    def _trials_match_datasets(self) -> "Preset":
        if set(self.trials) != set(self.datasets):
            raise ValueError(f"trials {sorted(self.trials)} must name {sorted(self.datasets)}")
        return self

    @model_validator(mode="after")
    def _resamples_are_enough(self) -> "Preset":
        if self.has_verdicts and self.resamples < LEAST_RESAMPLES:
            raise ValueError(
                f"resamples is {self.resamples}; claims are judged by {LEAST_RESAMPLES} at least, "
                "since fewer cannot tell of the outermost 5 %"
            )
        return self

    def trials_of(self, dataset: str) -> range:
        """Return the trials, each of which is its seed, on what stands for a table's data set."""
        return _trials(self.trials.get(dataset, 1))
