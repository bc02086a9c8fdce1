"""Settings of Hybrid Task Cascade (HTC, 1901.07518), with mmdetection's numbers as defaults.

Sources, cited per field: "paper" is HTC; "code" is the mmdetection 1.1 that the 3D-FUTURE report's
authors published (`configs/htc/htc_without_semantic_r50_fpn_1x.py` and, for mask scoring,
`models/detectors/htc_msscore.py`); "report" is 3D-FUTURE's (2009.04650, section 3.1), which gives
no other settings than those cited.

The cascade always has three stages that are interleaved, with mask information flow. HTC's semantic
branch is left out: it learns from maps of stuff, which neither 3D-FUTURE's annotations nor a data
set of objects alone has, and the report mentions none.

This module imports neither torch nor Snakemake: a dry run reads it.
"""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, model_validator

from pointrend_repro.settings.applying import require_unset
from pointrend_repro.settings.at_test import AS_TRAINED, DetectionAtTest
from pointrend_repro.settings.backbone import BackboneSettings
from pointrend_repro.settings.ensemble import EnsembleSettings
from pointrend_repro.settings.heads import MaskScoringSettings
from pointrend_repro.settings.instances import DetectorSettings
from pointrend_repro.settings.of_family import (
    AnyInferenceSettings,
    AnyModelSettings,
    AnyTrainingSettings,
    FamilyOverrides,
)
from pointrend_repro.settings.values import Fraction, PositiveInt, RoiEdge, Strict, merged

Family = Literal["htc"]


@dataclass(frozen=True)
class Stage:
    """What differs between the stages of the cascade.

    Attributes:
        iou: of a box with an object, from which the box is foreground.
        loss_weight: of all losses of the stage's heads.
        box_stds: by which the deltas of its boxes are divided: dx, dy, dlog(w), dlog(h).
    """

    iou: float
    loss_weight: float
    box_stds: tuple[float, float, float, float]


# Cascade R-CNN's (1712.00726), which HTC keeps; the loss weights are HTC's (section 3.3). code
STAGES = (
    Stage(0.5, 1.0, (0.1, 0.1, 0.2, 0.2)),
    Stage(0.6, 0.5, (0.05, 0.05, 0.1, 0.1)),
    Stage(0.7, 0.25, (0.033, 0.033, 0.067, 0.067)),
)


class HtcDetectorSettings(DetectorSettings):
    """Region proposals and box heads."""

    rpn_post_nms_train: PositiveInt | None = Field(2000, description="code; 1000 at test time")
    score_threshold: Fraction = Field(0.001, description="code")
    box_loss: Literal["l1", "smooth_l1"] = Field("smooth_l1", description="code")
    class_agnostic_boxes: Literal[True] = Field(True, description="paper, code: one box for all")


class HtcMaskSettings(Strict):
    """The mask head of each stage: four 3x3 convolutions and a deconvolution, as Mask R-CNN's."""

    channels: PositiveInt = 256
    roi_resolution: RoiEdge = Field(
        14, description="RoIAlign side; the mask has twice that. Report: 32"
    )


class HtcModelSettings(AnyModelSettings):
    """Everything that decides a cascade's parameters and how it is trained on one image."""

    family: Family = "htc"
    backbone: BackboneSettings
    detector: HtcDetectorSettings = HtcDetectorSettings()
    mask_head: HtcMaskSettings = HtcMaskSettings()
    mask_scoring: MaskScoringSettings | None = Field(
        None,
        description="of the last stage, whose weight its loss has, too (code); none: an object's "
        "score is that of its box",
    )

    @model_validator(mode="after")
    def _detector_uses_its_settings(self) -> "HtcModelSettings":
        require_unset(self.detector, ("res5_stride",), "detector", "cascades, which have a pyramid")
        return self

    @property
    def predicts(self) -> frozenset[str]:
        """Boxes and masks."""
        return frozenset({"boxes", "masks"})


class HtcInferenceSettings(AnyInferenceSettings):
    """How a trained cascade predicts boxes and masks."""

    family: Family = "htc"
    test: DetectionAtTest = AS_TRAINED
    ensemble: EnsembleSettings | None = Field(None, description="none: the model predicts alone")


class HtcTrainingSettings(AnyTrainingSettings):
    """One training, resolved."""

    family: Family = "htc"
    model: HtcModelSettings


class HtcOverrides(FamilyOverrides):
    """What a preset changes in cascades."""

    mask_scoring: dict[str, Any] = Field({}, description="of the models that have it")
    test: DetectionAtTest = Field(AS_TRAINED, description="of all predictions; retrains nothing")

    def of_model(self, model: dict[str, Any]) -> dict[str, Any]:
        """Return a model's settings, changed as for all, and its mask scoring."""
        changed = super().of_model(model)
        if changed["mask_scoring"] is not None:
            changed["mask_scoring"] = merged(changed["mask_scoring"], self.mask_scoring)
        return changed
