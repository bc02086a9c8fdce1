"""Settings of DeepMask (1506.06204) and SharpMask (1603.08695): networks that segment patches.

Not the head `sharpmask` of Mask R-CNN (`settings/heads.py`), which refines masks in boxes.

"paper" is SharpMask and "D" DeepMask; "code" is facebookresearch/deepmask at commit 280a716b. This
module imports neither torch nor Snakemake.
"""

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, model_validator

from pointrend_repro.settings.of_family import AnyModelSettings
from pointrend_repro.settings.values import Deviation, Fraction, PositiveFloat, Strict

# Parts of the network that the second stage leaves as the first one trained them.
FIRST_STAGE = ("backbone", "bottleneck", "coarse_mask", "score_head")

PatchEdge = Annotated[int, Field(gt=0, le=1024)]
Width = Annotated[int, Field(gt=0, le=4096)]

TrunkName = Literal["vgg11", "resnet50", "vgg11_narrow", "resnet18_narrow"]


class PatchTrunkSettings(Strict):
    """A classifier's trunk, cut after some pooling stages (paper, section 4.1: P and D)."""

    name: TrunkName = "resnet50"
    pooling: Literal[3, 4] = Field(
        4,
        description="paper: P, halvings of the resolution. ResNet-50 with P4 ends after res4 "
        "(D39), with P3 after res3 (D21); VGG-A (vgg11) has P4 (D8): its last pooling is left out",
    )
    padding: Literal["symmetric", "zero"] = Field(
        "symmetric",
        description="paper: 'reflective-padding instead of 0-padding' in deeper models such as "
        "ResNet; code: mirrored with the edge, no gradient through the border. Zero for VGG-A",
    )
    norm: Literal["frozen_bn", "gn"] = Field(
        "frozen_bn", description="code: BN is constant; gn for training from scratch. VGG-A: none"
    )
    stride_in_1x1: bool = Field(False, description="torchvision's and the code's ResNet-50: in 3x3")
    channel_order: Literal["RGB", "BGR"] = "RGB"
    pixel_mean: tuple[FiniteFloat, FiniteFloat, FiniteFloat] = Field(
        (123.675, 116.280, 103.530), description="in `channel_order`, of 0..255; code"
    )
    pixel_std: tuple[Deviation, Deviation, Deviation] = (58.395, 57.120, 57.375)
    weights: str | None = Field(None, description="ImageNet weights to start from; none: random")

    @model_validator(mode="after")
    def _vgg_pools_four_times(self) -> "PatchTrunkSettings":
        if self.name.startswith("vgg") and self.pooling != 4:
            raise ValueError(f"backbone.pooling {self.pooling}: {self.name} has 4 poolings here")
        return self

    @property
    def stride(self) -> int:
        """Image pixels per cell of the trunk's last map."""
        stride: int = 2**self.pooling
        return stride


class RefinementSettings(Strict):
    """SharpMask's refinement modules, one for each pooling (paper, sections 3.2 and 5.2)."""

    k: Width = Field(32, description="paper: channels of the first mask and skip encodings")
    schedule: Literal["a", "b"] = Field(
        "b",
        description="paper, section 5.2: a: k everywhere; b: halved in each module (at least 1)",
    )
    upsampling: Literal["bilinear", "nearest"] = Field(
        "bilinear", description="paper, section 3.2: bilinear; code: nearest"
    )
    skip_channels: tuple[Width, ...] = Field(
        (64,),
        description="between the two convolutions that make skip features: one number for all "
        "modules (paper: 64), or one for each (code: 64, 64, 64, 32)",
    )
    extra_vertical_conv: bool = Field(
        False,
        description="code: one more 3x3 convolution with a ReLU on the mask encoding of each "
        "module; paper, Figure 7: none",
    )
    ablation: Literal["skip", "deconv"] | None = Field(
        None,
        description="paper, section 5.2: skip has no vertical convolutions, k = 1, and averages "
        "the outputs of all layers; deconv has no horizontal convolutions",
    )


class DeepMaskModelSettings(AnyModelSettings):
    """Everything that decides the parameters of DeepMask or SharpMask, and their losses."""

    family: Literal["deepmask"] = "deepmask"
    backbone: PatchTrunkSettings = PatchTrunkSettings()
    patch_px: PatchEdge = Field(160, description="paper: W, the side of a patch; D: 224")
    context_px: Annotated[int, Field(ge=0, le=256)] = Field(
        16,
        description="pixels around a training patch, on each side, whose cells are cropped from "
        "the trunk's maps. paper: 32 in all, for ResNet; 0 for VGG-A",
    )
    feature_channels: Width = Field(128, description="paper: F, by a 1x1 convolution")
    bottleneck_channels: Width = Field(512, description="paper: the low-rank vector of a patch")
    head: Literal["original", "a", "b", "c"] = Field(
        "c", description="paper, Figure 3: how the score is predicted; docs/sharpmask.md"
    )
    score_channels: Width = Field(1024, description="code: of the score's last hidden layer")
    dropout: Fraction = Field(0.5, description="code: before each layer of the score's")
    mask_resolution: Annotated[int, Field(gt=0, le=256)] = Field(
        56, description="D, code: side of DeepMask's mask"
    )
    loss_px: PatchEdge | None = Field(
        None,
        description="side to which DeepMask's mask is enlarged for its loss. D: the patch's "
        "(none); code: 112",
    )
    score_weight: PositiveFloat = Field(1 / 32, description="D: lambda, of the score's loss")
    patches_in_sum: PositiveFloat = Field(
        32,
        description="D and code add up the losses of a batch of 32 patches; ours are means times "
        "this, so that learning rate and weight decay mean the same for any batch",
    )
    refinement: RefinementSettings | None = Field(None, description="none: DeepMask")

    @model_validator(mode="after")
    def _cells_are_whole(self) -> "DeepMaskModelSettings":
        stride = self.backbone.stride
        for name in ("patch_px", "context_px"):
            if getattr(self, name) % stride:
                raise ValueError(f"{name} {getattr(self, name)} must be a multiple of {stride}")
        if self.head == "original" and self.window % 2:
            raise ValueError(f"head original pools a window of {self.window} cells, which is odd")
        return self

    @model_validator(mode="after")
    def _modules_fit(self) -> "DeepMaskModelSettings":
        if self.refinement is not None:
            given = len(self.refinement.skip_channels)
            if given not in (1, self.backbone.pooling):
                raise ValueError(
                    f"refinement.skip_channels has {given} numbers; give one, or one for each of "
                    f"the {self.backbone.pooling} modules"
                )
        return self

    @property
    def window(self) -> int:
        """Cells along a side of a patch in the trunk's last map (paper: S)."""
        return self.patch_px // self.backbone.stride

    @property
    def mask_px(self) -> int:
        """Side of the masks that training compares."""
        return self.patch_px if self.refinement is not None else (self.loss_px or self.patch_px)
