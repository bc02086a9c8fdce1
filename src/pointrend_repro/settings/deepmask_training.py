"""How DeepMask and SharpMask are trained: patches, optimizer, and the two stages.

Sources are cited as in `deepmask.py`. This module imports neither torch nor Snakemake.
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from pointrend_repro.settings.applying import require_unset
from pointrend_repro.settings.deepmask import FIRST_STAGE, DeepMaskModelSettings, TrunkName
from pointrend_repro.settings.deepmask_inference import ProposalsAtTest
from pointrend_repro.settings.of_family import (
    AnyTrainingSettings,
    FamilyOverrides,
    Recipe,
    require_known,
)
from pointrend_repro.settings.schedule import InputSettings, OptimizerSettings
from pointrend_repro.settings.values import NotNegative, PositiveFloat, PositiveInt, merged

_SIZES_IN_TRAINING = (
    "train_short_edges_px",
    "train_short_edge_range_px",
    "train_max_long_edge_px",
)


class DeepMaskInputSettings(InputSettings):
    """How patches are drawn from images (D, section 3.3; docs/sharpmask.md).

    An image is cut at its own size, so that of the inherited settings training uses only
    `flip_probability`. "px" are pixels of the patch.
    """

    sampling: Literal["paper", "code"] = Field(
        "paper",
        description="paper: each patch is positive, jittered and with its mask, or negative, at "
        "even odds, of an image from the shuffled list; code: masks of classes at even odds, and "
        "scores of unjittered objects, in separate patches",
    )
    patches_per_image: PositiveInt = Field(
        1, description="from each image that is decoded; code: 1. More save decoding"
    )
    jitter_px: NotNegative = Field(16.0, description="D: of a positive patch, along each axis")
    jitter_octaves: NotNegative = Field(0.25, description="D: of its scale")
    negative_px: PositiveFloat | None = Field(
        None,
        description="a negative is this far from every object's patch ...; none: 32 (D), or 48 "
        "with the code's sampling",
    )
    negative_octaves: PositiveFloat | None = Field(
        None, description="... or its scale is; none: 1 (D), or 2.5 with the code's sampling"
    )

    @model_validator(mode="after")
    def _images_keep_their_size(self) -> "DeepMaskInputSettings":
        require_unset(self, _SIZES_IN_TRAINING, "input", "patches, cut at an image's own size")
        return self

    @property
    def far_px(self) -> float:
        """How far from objects a negative is, in pixels of the patch."""
        return self.negative_px or (48.0 if self.sampling == "code" else 32.0)

    @property
    def far_octaves(self) -> float:
        """How much larger or smaller than for objects a negative's scale is, or else."""
        return self.negative_octaves or (2.5 if self.sampling == "code" else 1.0)


class DeepMaskOptimizerSettings(OptimizerSettings):
    """SGD at a constant rate (D, section 3.3; SharpMask, section 5)."""

    images_per_batch: PositiveInt = Field(32, description="D, code: patches in a batch")
    images_per_step: PositiveInt = 32
    base_lr: PositiveFloat = Field(0.001, description="D, paper: 0.001 in both stages")
    weight_decay: NotNegative = Field(
        5e-5, description="D: 0.00005; code: 0.0005 for DeepMask, none for SharpMask"
    )
    warmup_iters: Annotated[int, Field(ge=0)] = 0


class DeepMaskTrainingSettings(AnyTrainingSettings):
    """One training of DeepMask or, in the second stage, of SharpMask's refinement, resolved."""

    family: Literal["deepmask"] = "deepmask"
    model: DeepMaskModelSettings
    input: DeepMaskInputSettings = DeepMaskInputSettings()
    optimizer: DeepMaskOptimizerSettings = DeepMaskOptimizerSettings()

    @model_validator(mode="after")
    def _refinement_is_the_second_stage(self) -> "DeepMaskTrainingSettings":
        if self.model.refinement is None:
            return self
        start = self.start_from
        trained = [part for part in FIRST_STAGE if start is None or part not in start.frozen]
        if trained:
            raise ValueError(
                "a model with refinement is trained in the second stage: start_from must name the "
                f"first one's variant and list {', '.join(trained)} under parts and frozen"
            )
        return self


class DeepMaskRecipe(Recipe):
    """How DeepMask and SharpMask are trained on some data."""

    input: DeepMaskInputSettings = DeepMaskInputSettings()
    optimizer: DeepMaskOptimizerSettings = DeepMaskOptimizerSettings()


class DeepMaskOverrides(FamilyOverrides):
    """What a preset changes in these models; only `run` affects them besides."""

    refinement: dict[str, Any] = Field({}, description="of the models that have it")
    test: ProposalsAtTest = Field(
        ProposalsAtTest(), description="of all predictions; retrains nothing"
    )

    @model_validator(mode="after")
    def _trunks_exist(self) -> "DeepMaskOverrides":
        require_known("trunk", self.trunk, get_args(TrunkName))
        return self

    def of_model(self, model: dict[str, Any]) -> dict[str, Any]:
        """Return a model's settings, changed as for all, for its trunk, and for its refinement."""
        changed = super().of_model(model)
        if model["refinement"] is not None:
            changed["refinement"] = merged(changed["refinement"], self.refinement)
        return changed
