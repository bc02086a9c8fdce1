"""What a network of patches is trained on: patches cut from an image, their labels and masks."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True)
class PatchTarget:
    """Labels of P patches.

    Attributes:
        is_positive: (P,) bool, whether an object is in the middle, and of the right size.
        has_score: (P,) bool, whether that label counts.
        has_mask: (P,) bool, whether the mask counts; only of positive patches.
        masks: (P, M, M) bool, the object over the patch without context; background elsewhere.
    """

    is_positive: Tensor
    has_score: Tensor
    has_mask: Tensor
    masks: Tensor

    def to(self, device: torch.device) -> "PatchTarget":
        """Return the target on a device."""
        return PatchTarget(*(getattr(self, field.name).to(device) for field in fields(self)))

    @staticmethod
    def joined(targets: Sequence["PatchTarget"]) -> "PatchTarget":
        """Return the labels of all patches of several images, in their order."""
        names = [field.name for field in fields(PatchTarget)]
        return PatchTarget(*(torch.cat([getattr(t, name) for t in targets]) for name in names))
