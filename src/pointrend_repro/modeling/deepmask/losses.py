"""DeepMask's losses (section 3.2 of 1506.06204): the mean of log(1 + exp(-y x)), y being +1 or -1.

Both are means over all patches of a step, those included that do not count in them: a patch has the
same weight whatever else is in its batch.
"""

import torch.nn.functional as F
from torch import Tensor

from pointrend_repro.data.patches import PatchTarget


def mask_loss(logits: Tensor, target: PatchTarget) -> Tensor:
    """Return the loss of masks (P, m, m): the mean over pixels, of patches with a mask only.

    Logits are enlarged bilinearly to the masks' resolution where that is higher.
    """
    labels = target.masks
    logits = logits.float()
    if logits.shape[-1] != labels.shape[-1]:
        size = labels.shape[-2:]
        logits = F.interpolate(logits[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    of_pixels = F.binary_cross_entropy_with_logits(logits, labels.float(), reduction="none")
    return (of_pixels.mean(dim=(1, 2)) * target.has_mask).mean()


def score_loss(logits: Tensor, target: PatchTarget) -> Tensor:
    """Return the loss of scores (P,), of patches whose score counts."""
    labels = target.is_positive.float()
    of_patches = F.binary_cross_entropy_with_logits(logits.float(), labels, reduction="none")
    return (of_patches * target.has_score).mean()
