"""Settings of SOLOv2 (2003.10152): masks of objects by their place, without boxes and RoIs.

Sources, cited per field: "paper" is SOLOv2, or SOLO (1912.04488) where SOLOv2 refers to it; "code"
is mmdetection 3.3 (`configs/solov2`), which has the numbers of the authors' own code; "report" is
3D-FUTURE's (2009.04650, section 3.2), which gives no settings of the head.

This module imports neither torch nor Snakemake: a dry run reads it.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pointrend_repro.settings.at_test import SizeAtTest
from pointrend_repro.settings.backbone import BackboneSettings
from pointrend_repro.settings.identity import added
from pointrend_repro.settings.of_family import (
    AnyInferenceSettings,
    AnyModelSettings,
    AnyTrainingSettings,
    FamilyOverrides,
    Recipe,
)
from pointrend_repro.settings.schedule import OptimizerSettings
from pointrend_repro.settings.values import Fraction, PositiveFloat, PositiveInt, Strict

Family = Literal["solov2"]

# Levels of the pyramid, p2 to p6, each of which predicts on a grid of its own.
LEVELS = 5

# A downloaded weights file brings such settings, too: they must not ask for absurd memory.
Grid = Annotated[int, Field(gt=0, le=512)]
Width = Annotated[int, Field(gt=0, le=4096)]
Px = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class SoloHeadSettings(Strict):
    """Grids of cells that each predict a class and a kernel, and the map that kernels apply to."""

    grids: tuple[Grid, ...] = Field(
        (40, 36, 24, 16, 12), description="cells a side of each level, fine to coarse; paper, code"
    )
    ranges_px: tuple[tuple[Px, Px], ...] = Field(
        ((1, 96), (48, 192), (96, 384), (192, 768), (384, 2048)),
        description="of the square root of an object's box, ends included, that each level learns "
        "from; code",
    )
    center_share: Fraction = Field(
        0.2, description="of an object's box, around its centre of mass, whose cells learn it; SOLO"
    )
    channels: Width = Field(
        512, description="of the towers of classes and of kernels; code (report's: 256 by default)"
    )
    tower_layers: PositiveInt = Field(4, description="3x3 convolutions of each tower; paper")
    map_channels: Width = Field(128, description="of the levels that the mask map sums up; code")
    kernel_channels: Width = Field(
        256, description="of the mask map, and so of a kernel, which is 1x1; paper"
    )
    mask_loss_weight: PositiveFloat = Field(3.0, description="paper: lambda, of the dice loss")

    @model_validator(mode="after")
    def _levels_match(self) -> "SoloHeadSettings":
        for name in ("grids", "ranges_px"):
            count = len(getattr(self, name))
            if count != LEVELS:
                raise ValueError(f"{name} has {count} levels; the pyramid has {LEVELS}")
        if any(low > high for low, high in self.ranges_px):
            raise ValueError(f"ranges_px {list(self.ranges_px)} must each go from small to large")
        return self


class SoloModelSettings(AnyModelSettings):
    """Everything that decides SOLOv2's parameters and how it is trained on one image."""

    family: Family = "solov2"
    backbone: BackboneSettings
    head: SoloHeadSettings = SoloHeadSettings()

    @property
    def predicts(self) -> frozenset[str]:
        """Masks, and the boxes around them."""
        return frozenset({"boxes", "masks"})


class SoloAtTest(SizeAtTest):
    """What a preset, or a user, may test with instead. None: as the inference setting says."""

    score_threshold: Fraction | None = added(None, "none: score_threshold")
    detections_per_image: PositiveInt | None = added(None, "none: detections_per_image")


class SoloInferenceSettings(AnyInferenceSettings):
    """How a trained SOLOv2 predicts masks."""

    family: Family = "solov2"
    test: SoloAtTest = SoloAtTest()
    score_threshold: Fraction = Field(
        0.1, description="a cell's class below is no object; paper, code"
    )
    mask_threshold: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.5, description="a pixel of higher probability is part of the mask; paper, code"
    )
    candidates: PositiveInt = Field(500, description="best masks that compete; paper, code")
    decay: Literal["gaussian", "linear"] = Field(
        "gaussian", description="of a score by the overlaps with better masks (matrix NMS); code"
    )
    sigma: PositiveFloat = Field(2.0, description="of the Gaussian decay; paper, code")
    decayed_threshold: Fraction = Field(
        0.05, description="an object whose decayed score is below is left out; code"
    )
    detections_per_image: PositiveInt = Field(100, description="paper, code")

    @property
    def least_score(self) -> float:
        """The score that a cell's class must exceed, as tested."""
        asked = self.test.score_threshold
        return self.score_threshold if asked is None else asked

    @property
    def at_most(self) -> int:
        """How many objects an image may have, as tested."""
        return self.test.detections_per_image or self.detections_per_image


class SoloOptimizerSettings(OptimizerSettings):
    """SGD with a lower rate than a detector's, since there are no boxes."""

    base_lr: PositiveFloat = Field(0.01, description="paper, code: for 16 images")


class SoloTrainingSettings(AnyTrainingSettings):
    """One training, resolved."""

    family: Family = "solov2"
    model: SoloModelSettings
    optimizer: SoloOptimizerSettings = SoloOptimizerSettings()


class SoloRecipe(Recipe):
    """How SOLOv2 is trained on some data."""

    optimizer: SoloOptimizerSettings = SoloOptimizerSettings()


class SoloOverrides(FamilyOverrides):
    """What a preset changes in these models."""

    test: SoloAtTest = Field(SoloAtTest(), description="of all predictions; retrains nothing")
