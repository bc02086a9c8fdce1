"""Settings of a detector's training and prediction, typed, with the paper's defaults.

Sources, cited per field: "paper" is PointRend (sections 3 and 4, appendix A in the supplement);
"d2" is detectron2's configuration at commit 02b5c4e2, which the paper says it uses. Where the two
differ the paper's value is the default and `docs/paper_and_detectron2.md` lists both.

This module imports neither torch nor Snakemake: a dry run reads it.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pointrend_repro.settings.applying import require_unset
from pointrend_repro.settings.at_test import AS_TRAINED, DetectionAtTest
from pointrend_repro.settings.backbone import BackboneSettings
from pointrend_repro.settings.ensemble import EnsembleSettings
from pointrend_repro.settings.heads import KeypointHeadSettings, MaskHeadSettings, NoMaskSettings
from pointrend_repro.settings.identity import added
from pointrend_repro.settings.of_family import (
    AnyInferenceSettings,
    AnyModelSettings,
    AnyTrainingSettings,
    FamilyOverrides,
    Recipe,
    require_kinds,
)
from pointrend_repro.settings.schedule import InputSettings, OptimizerSettings
from pointrend_repro.settings.values import Fraction, PositiveInt, RoiEdge, Strict, merged


class RoiLayerSettings(Strict):
    """How features of a box are taken from a map (Mask R-CNN, section 3 and Table 2c)."""

    kind: Literal["roi_align", "roi_pool", "roi_warp"] = Field(
        "roi_align",
        description="roi_pool rounds boxes and bins, and takes the largest value; roi_warp rounds "
        "boxes only",
    )
    aggregation: Literal["average", "max"] = Field(
        "average", description="over the samples of a bin; roi_pool has max only"
    )
    sampling_ratio: Annotated[int, Field(ge=0)] = Field(
        0,
        description="samples per bin and axis; 0: as many as it covers cells (d2). The paper has 2",
    )

    @model_validator(mode="after")
    def _is_a_layer(self) -> "RoiLayerSettings":
        if self.kind == "roi_pool":
            if self.aggregation != "max":
                raise ValueError("roi_pool takes the largest value: it needs aggregation: max")
            if self.sampling_ratio:
                raise ValueError("roi_pool takes no samples: leave out sampling_ratio")
        elif self.aggregation == "max" and not self.sampling_ratio:
            # Over a number that differs from box to box, it would mean another thing in each.
            raise ValueError("aggregation: max needs a fixed number of samples: sampling_ratio: 2")
        return self


class DetectorInputSettings(InputSettings):
    """Image sizes, augmentation, and which images are trained on."""

    only_with_keypoints: bool = added(
        False,
        "train on images with a labelled keypoint only, as models with a keypoint head always do "
        "(Mask R-CNN, section 5; in Table 5 the others, too)",
    )


# Where smooth L1 becomes linear, in the box head and in RPN (Mask R-CNN's code, Detectron).
SMOOTH_L1_BETA, SMOOTH_L1_BETA_RPN = 1.0, 1 / 9


class DetectorSettings(Strict):
    """Region proposals and box head, as in d2's Base-RCNN-FPN."""

    anchor_sizes_px: tuple[int, ...] = (32, 64, 128, 256, 512)
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    rpn_batch_per_image: PositiveInt = 256
    rpn_pre_nms_train: PositiveInt = 2000
    rpn_pre_nms_test: PositiveInt = 1000
    rpn_post_nms: PositiveInt = 1000
    rpn_post_nms_train: PositiveInt | None = added(
        None, "in training; none: rpn_post_nms, which else is of both"
    )
    rpn_nms_iou: Fraction = 0.7
    roi_batch_per_image: PositiveInt = 512
    roi_positive_fraction: Fraction = 0.25
    box_head_channels: PositiveInt = 1024
    score_threshold: Fraction = 0.05
    nms_iou: Fraction = 0.5
    detections_per_image: PositiveInt = 100
    roi_layer: RoiLayerSettings = added(RoiLayerSettings(), "of the box, mask and keypoint heads")
    box_loss: Literal["l1", "smooth_l1"] = added(
        "l1", "smooth_l1: Mask R-CNN's, quadratic below 1 in the box head and 1/9 in RPN; l1: d2's"
    )
    rpn_inside_anchors_only: bool = added(
        False, "RPN learns from no anchor that crosses the image's border (Faster R-CNN)"
    )
    box_roi_resolution: RoiEdge = added(7, "side of the RoIs of the box head on pyramids")
    box_head_layers: PositiveInt = added(2, "fully connected, of the box head on pyramids")
    class_agnostic_boxes: bool = added(False, "one box for all classes, as in cascades")
    box_head_dropout: Annotated[float, Field(ge=0, lt=1)] = added(
        0.0, "in training, after each hidden layer of that box head; VGG's: 0.5 (Fast R-CNN)"
    )
    roi_negative_from: Annotated[float, Field(ge=0, lt=0.5)] = added(
        0.0, "IoU from which a box can be background; Fast R-CNN, section 2.3: 0.1"
    )
    res5_stride: Literal[1, 2] = added(
        2, "of the head's res5 on C4; 1: Mask R-CNN, Figure 3, on 7x7 RoIs; 2: d2, on 14x14"
    )


# These see p2, or the trunk's stages besides a pyramid.
_HEADS_ON_PYRAMIDS = ("pointrend", "sharpmask", "plugin")

# Of the box head that C4 has not.
_FULLY_CONNECTED = ("box_roi_resolution", "box_head_layers", "box_head_dropout")

# Not written to files: models were told apart by their keys before there were families.
OwnFamily = Literal["mask_rcnn"]
UNNAMED: Any = Field("mask_rcnn", exclude=True)


class ModelSettings(AnyModelSettings):
    """Everything that decides a model's parameters and how it is trained on one image."""

    family: OwnFamily = UNNAMED
    backbone: BackboneSettings
    detector: DetectorSettings = DetectorSettings()
    mask_head: MaskHeadSettings
    features: Literal["fpn", "c4", "c5"] = added(
        "fpn", "what the heads see: a pyramid, res4 with res5 in the head, or res5 (VGG: conv5)"
    )
    keypoint_head: KeypointHeadSettings | None = added(None, "none: no keypoints")
    given_proposals: bool = added(
        False, "it has no proposals of its own, and is given boxes in training and at test time"
    )

    @property
    def predicts(self) -> frozenset[str]:
        """Of boxes, masks and keypoints, what there is a head for."""
        masks = set() if isinstance(self.mask_head, NoMaskSettings) else {"masks"}
        keypoints = set() if self.keypoint_head is None else {"keypoints"}
        return frozenset({"boxes"} | masks | keypoints)

    rpn_only: bool = added(
        False, "no heads: region proposals, trained apart as in Mask R-CNN (section 3.1)"
    )

    @model_validator(mode="after")
    def _vgg_has_one_map(self) -> "ModelSettings":
        if self.backbone.name.startswith("vgg"):
            if self.features != "c5":
                raise ValueError(f"backbone.name {self.backbone.name} needs features: c5")
            of_resnets = ("output_stride", "multi_grid", "deformable", "context_ratio")
            require_unset(self.backbone, of_resnets, "backbone", self.backbone.name)
        return self

    @model_validator(mode="after")
    def _box_head_uses_its_settings(self) -> "ModelSettings":
        # Not by `rpn_only` and `given_proposals`: such variants are the same as others but for it.
        unused = _FULLY_CONNECTED if self.features == "c4" else ("res5_stride",)
        require_unset(self.detector, unused, "detector", f"features: {self.features}")
        return self

    @model_validator(mode="after")
    def _parts_fit(self) -> "ModelSettings":
        head = self.mask_head.kind
        if self.rpn_only and (head != "none" or self.keypoint_head or self.given_proposals):
            raise ValueError(
                "rpn_only has no heads, and no proposals but its own: it needs mask_head: "
                "{kind: none}, no keypoint_head and no proposals_from"
            )
        if self.features != "fpn" and head in _HEADS_ON_PYRAMIDS:
            raise ValueError(f"mask_head.kind {head} needs features: fpn, not {self.features}")
        if self.features != "c4" and head == "res5":
            raise ValueError(f"mask_head.kind res5 needs features: c4, not {self.features}")
        if self.features != "fpn" and self.backbone.balancing_blocks:
            raise ValueError(f"backbone.balancing_blocks needs features: fpn, not {self.features}")
        if self.features == "c4" and (self.backbone.output_stride, self.backbone.multi_grid) != (
            32,
            (),
        ):
            raise ValueError(
                "features: c4 leaves res5 to the head (detector.res5_stride): "
                "backbone.output_stride and multi_grid do not apply"
            )
        return self


class InferenceSettings(AnyInferenceSettings):
    """How a trained detector predicts boxes and masks. The 4x conv head has nothing to set."""

    family: OwnFamily = UNNAMED
    output_resolution: PositiveInt = Field(224, description="side M of PointRend's mask")
    points_per_step: PositiveInt = Field(784, description="paper: N = 28 x 28 points per step")
    test: DetectionAtTest = added(AS_TRAINED, "what the model is tested with instead of its own")
    ensemble: EnsembleSettings | None = added(None, "none: the model predicts alone")
    proposals_only: bool = added(
        False, "its proposals, of no class, in place of the objects that it finds in them"
    )


class TrainingSettings(AnyTrainingSettings):
    """One training, resolved: what `train` needs to know besides the data set and the trial."""

    family: OwnFamily = UNNAMED
    model: ModelSettings
    input: DetectorInputSettings = DetectorInputSettings()
    optimizer: OptimizerSettings = OptimizerSettings()


class DatasetRecipe(Recipe):
    """How instance models are trained."""

    input: DetectorInputSettings = DetectorInputSettings()
    optimizer: OptimizerSettings = OptimizerSettings()


class DetectorOverrides(FamilyOverrides):
    """What a preset changes in detectors."""

    mask_head: dict[str, dict[str, Any]] = Field({}, description="by the kind of head")
    features: dict[Literal["fpn", "c4", "c5"], dict[str, Any]] = Field(
        {}, description="of the model, by what its heads see"
    )
    keypoint_head: dict[str, Any] = Field({}, description="of the models that have one")
    test: DetectionAtTest = Field(AS_TRAINED, description="of all predictions; retrains nothing")

    @model_validator(mode="after")
    def _mask_heads_exist(self) -> "DetectorOverrides":
        require_kinds("mask_head", self.mask_head, MaskHeadSettings)
        return self

    def of_model(self, model: dict[str, Any]) -> dict[str, Any]:
        """Return a model's settings, changed as for all models, its features and its heads."""
        changed = super().of_model(model)
        changed = merged(changed, self.features.get(changed.get("features", "fpn"), {}))
        head, keypoints = changed["mask_head"], changed["keypoint_head"]
        heads = {"mask_head": merged(head, self.mask_head.get(head["kind"], {}))}
        if keypoints is not None:
            heads["keypoint_head"] = merged(keypoints, self.keypoint_head)
        return changed | heads
