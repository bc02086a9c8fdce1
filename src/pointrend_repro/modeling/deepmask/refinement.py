"""SharpMask's top-down path: from a patch's vector and the trunk's maps to a sharp mask.

The horizontal half of each module (`skips`) does not depend on a patch: whole images compute it
once and cut patches from it. The vertical half (`forward`) belongs to one patch each. Figure 7b
makes the two separable: the sum of their convolutions equals one convolution on the concatenation.

"Section" is that of 1603.08695. The two ablations of section 5.2 are read as follows. "skip": "we
removed all downward convs, set k = 1, and averaged the output of all layers": the mask is the mean
of one map from each skip encoder, whose last ReLU is left out, as a logit has a sign, and one from
the 512-vector, all enlarged to the patch. "deconv": "we kept the vertical convs but removed all
horizontal convs": nothing is added to the mask encoding.
"""

import itertools

import torch
from torch import Tensor, nn

from pointrend_repro.modeling.refinement import RefinementModule, SkipEncoder, upsampled
from pointrend_repro.modeling.symmetric import pad_symmetrically
from pointrend_repro.settings.deepmask import DeepMaskModelSettings, RefinementSettings


def widths(settings: RefinementSettings, modules: int) -> list[int]:
    """Return the channels of M^1 to M^(n+1): k everywhere (a), or halved each time (b)."""
    if settings.ablation == "skip":
        return [1] * (modules + 1)
    if settings.schedule == "a":
        return [settings.k] * (modules + 1)
    return [max(settings.k // 2**i, 1) for i in range(modules + 1)]


class Refinement(nn.Module):
    """Refines the masks of patches whose vectors and skip features are given.

    Args:
        map_channels: of the trunk's maps, from coarse to fine, one for each module.
        settings: of the model; they have a `refinement`.
    """

    def __init__(self, map_channels: tuple[int, ...], settings: DeepMaskModelSettings) -> None:
        super().__init__()
        refinement = settings.refinement
        assert refinement is not None
        self.settings = refinement
        self.window = settings.window
        channels = widths(refinement, len(map_channels))
        self.encoding = nn.Linear(settings.bottleneck_channels, channels[0] * self.window**2)
        if refinement.ablation != "deconv":
            self.skip_encoders = _skip_encoders(map_channels, channels, refinement)
        if refinement.ablation != "skip":
            self.refine = nn.ModuleList(
                RefinementModule(
                    own,
                    None if refinement.ablation == "deconv" else own,
                    following,
                    upsampling=refinement.upsampling,
                    skip_bias=True,  # as in the code, whose weights can be loaded
                )
                for own, following in itertools.pairwise(channels)
            )
            if refinement.extra_vertical_conv:
                self.extra = nn.ModuleList(nn.Conv2d(k, k, 3, padding=1) for k in channels[:-1])
            self.predictor = nn.Conv2d(channels[-1], 1, 3, padding=1)
        if settings.backbone.padding == "symmetric":
            pad_symmetrically(self)

    def skips(self, features: list[Tensor]) -> list[Tensor]:
        """Return what each module adds to the mask, for any number of patches.

        Args:
            features: of the trunk, (N, C_i, H / t, W / t) from coarse to fine.

        Returns:
            Maps of the same sizes, the results of the horizontal convolutions; none for "deconv".
        """
        if self.settings.ablation == "deconv":
            return []
        made = [encode(x) for encode, x in zip(self.skip_encoders, features, strict=True)]
        if self.settings.ablation == "skip":
            return made
        return [module.conv_skip(x) for module, x in zip(self._modules_of(), made, strict=True)]

    def forward(self, vectors: Tensor, skips: list[Tensor]) -> Tensor:
        """Return mask logits (R, W, W) of R patches.

        Args:
            vectors: (R, 512).
            skips: what `skips` returned, cut to the patches: (R, c_i, s_i, s_i), where s_i is the
                side of the trunk's map of a patch, such as 10, 20, 40 and 80.
        """
        mask = self.encoding(vectors).unflatten(1, (-1, self.window, self.window))
        if self.settings.ablation == "skip":
            return self._mean_of_layers(mask, skips)
        given: list[Tensor] | list[None] = skips or [None] * len(self.refine)
        for i, (module, skip) in enumerate(zip(self._modules_of(), given, strict=True)):
            if self.settings.extra_vertical_conv:
                mask = torch.relu(self.extra[i](mask))
            mask = module.merge(mask, skip)
        logits: Tensor = self.predictor(mask)
        return logits.squeeze(1)

    def _mean_of_layers(self, mask: Tensor, skips: list[Tensor]) -> Tensor:
        side = 2 * skips[-1].shape[-1]
        layers = [mask, *skips]
        how = self.settings.upsampling
        enlarged = [upsampled(layer, side // layer.shape[-1], how) for layer in layers]
        return torch.stack(enlarged).mean(dim=0).squeeze(1)

    def _modules_of(self) -> list[RefinementModule]:
        return [module for module in self.refine if isinstance(module, RefinementModule)]


def _skip_encoders(
    map_channels: tuple[int, ...], channels: list[int], settings: RefinementSettings
) -> nn.ModuleList:
    hidden = settings.skip_channels
    if len(hidden) == 1:
        hidden = hidden * len(map_channels)
    encoders = [
        SkipEncoder(of_trunk, between, own)
        for of_trunk, between, own in zip(map_channels, hidden, channels, strict=False)
    ]
    if settings.ablation == "skip":  # its outputs are logits, which have a sign
        for encoder in encoders:
            del encoder[-1]
    return nn.ModuleList(encoders)
