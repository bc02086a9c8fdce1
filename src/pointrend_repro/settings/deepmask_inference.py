"""How a trained DeepMask or SharpMask makes its proposals from whole images.

"paper" is SharpMask, "D" DeepMask, "code" facebookresearch/deepmask at commit 280a716b
(`computeProposals.lua`, `evalPerImage.lua`, `InferSharpMask.lua`). docs/sharpmask.md compares them.

This module imports neither torch nor Snakemake.
"""

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field, FiniteFloat, model_validator

from pointrend_repro.settings.at_test import SizeAtTest
from pointrend_repro.settings.identity import added
from pointrend_repro.settings.of_family import AnyInferenceSettings
from pointrend_repro.settings.values import Fraction, PositiveInt

# An image's sides change by this factor from one size to the next (code: -sstep .5).
_OCTAVE_STEP = 0.5
# Of patches of 160 pixels (code: -smin, -smax); those of 224 see objects of the same sizes at
# 2^-2 to 2^1, as in D, since 224 is 160 times 2^.5 almost exactly.
_OCTAVES, _OF_PATCH_PX = (-2.5, 0.5), 160

Octave = Annotated[FiniteFloat, Field(ge=-6, le=4)]


class ProposalsAtTest(SizeAtTest):
    """What may be asked of any trained model of this family, as by `demo --test`."""

    nms_iou: Fraction | None = added(
        None, "of masks; none: as the inference setting of this name says"
    )


class DeepMaskInferenceSettings(AnyInferenceSettings):
    """How a trained DeepMask or SharpMask makes its proposals."""

    keeps_size: ClassVar[bool] = True

    family: Literal["deepmask"] = "deepmask"
    test: ProposalsAtTest = added(
        ProposalsAtTest(), "what the model is tested with instead of its own"
    )
    proposals: PositiveInt = Field(
        1000, description="the highest-scoring windows of an image, in which alone masks are made"
    )
    keep: Literal["best_scoring", "best_for_objects"] = Field(
        "best_scoring",
        description="best_for_objects: of the masks of all windows, whatever their score, the one "
        "that overlaps each annotated object most; paper, Table 1's upper bound",
    )
    octaves: tuple[Octave, Octave] | None = Field(
        None,
        description="the image is seen at 2^first to 2^last of its size, in steps of 2^.5; none: "
        "code's -2.5 to .5 for patches of 160 pixels, D's -2 to 1 for 224, so that objects of the "
        "same sizes fill other patches",
    )
    zoom: Literal[0, 1, 2] = Field(
        0, description="paper, section 5.3: one or two more sizes, for small objects (Zoom, Zoom2)"
    )
    refine: bool = Field(
        True, description="paper, section 3.3: without, SharpMask's network gives DeepMask's masks"
    )
    mask_threshold: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.2, description="paper, section 5: a pixel of higher probability is part of the mask"
    )
    lookup: Literal["own", "code"] = Field(
        "own",
        description="the window whose mask goes with a score: its own; code: the one a row up and "
        "a column right of it, by mistake",
    )
    nms_iou: Fraction | None = Field(
        None, description="of masks; a mask that overlaps a better one more is left out. Code: none"
    )

    @model_validator(mode="after")
    def _octaves_rise(self) -> "DeepMaskInferenceSettings":
        if self.octaves is not None and self.octaves[0] > self.octaves[1]:
            raise ValueError(f"octaves {list(self.octaves)} fall")
        return self

    @property
    def chooses_by_objects(self) -> bool:
        """Whether annotated objects decide which masks are kept."""
        return self.keep == "best_for_objects"

    @property
    def suppressed_above(self) -> float | None:
        """The IoU with a better mask above which one is left out; None: all are kept."""
        return self.nms_iou if self.test.nms_iou is None else self.test.nms_iou

    def scales(self, patch_px: int) -> tuple[float, ...]:
        """Return the factors by which an image is resized, from the smallest to the largest.

        Args:
            patch_px: the side of the model's patches.
        """
        shift = round(math.log2(patch_px / _OF_PATCH_PX) / _OCTAVE_STEP) * _OCTAVE_STEP
        low, high = self.octaves or (_OCTAVES[0] + shift, _OCTAVES[1] + shift)
        count = math.floor((high - low) / _OCTAVE_STEP + 1e-6) + 1 + self.zoom
        return tuple(2 ** (low + i * _OCTAVE_STEP) for i in range(count))
