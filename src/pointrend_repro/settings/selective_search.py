"""How Selective Search proposes boxes. Nothing is trained.

"paper" is Uijlings et al., IJCV 2013, "code" its authors' MATLAB code. docs/sharpmask.md compares
them with ours. This module imports neither torch nor Snakemake.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from pointrend_repro.settings.at_test import SizeAtTest
from pointrend_repro.settings.identity import identity
from pointrend_repro.settings.of_family import (
    AnyInferenceSettings,
    AnyModelSettings,
    FamilyOverrides,
)
from pointrend_repro.settings.values import PositiveInt


def _is_as_it_is(test: SizeAtTest) -> SizeAtTest:
    if identity(test):
        raise ValueError("Selective Search takes images at their own size")
    return test


_NoTest = Annotated[SizeAtTest, AfterValidator(_is_as_it_is)]


class SelectiveSearchModelSettings(AnyModelSettings):
    """There is no model: all settings are of the prediction."""

    family: Literal["selective_search"] = "selective_search"

    @property
    def predicts(self) -> frozenset[str]:
        """Boxes alone."""
        return frozenset({"boxes"})


class SelectiveSearchInferenceSettings(AnyInferenceSettings):
    """One way to search."""

    keeps_size: ClassVar[bool] = True

    family: Literal["selective_search"] = "selective_search"
    test: _NoTest = Field(SizeAtTest(), description="nothing can be changed at test time")
    mode: Literal["fast", "quality"] = Field(
        "fast", description="paper, table 5: 8 groupings of an image, or 80"
    )
    proposals: PositiveInt = Field(1000, description="of an image at most, in the paper's order")
    min_side_px: PositiveInt = Field(
        20, description="code: boxes of a shorter side are left out; the paper does not say"
    )
    seed: Annotated[int, Field(ge=0)] = Field(
        0, description="of the random numbers in the order of an image's boxes"
    )


class SelectiveSearchOverrides(FamilyOverrides):
    """What a preset changes: nothing."""

    test: _NoTest = Field(SizeAtTest(), description="nothing can be changed at test time")
