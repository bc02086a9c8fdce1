"""DeepMask's losses against their formula, and what they teach."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_deepmask import SMALL, some_targets
from torch import Tensor

from pointrend_repro.data.patches import PatchTarget
from pointrend_repro.modeling.deepmask.losses import mask_loss, score_loss
from pointrend_repro.modeling.deepmask.model import DeepMask
from pointrend_repro.settings.deepmask import DeepMaskModelSettings


def test_the_mask_loss_is_the_papers_sum_over_positives() -> None:
    torch.manual_seed(0)
    logits = torch.randn(5, 6, 6, dtype=torch.float64)
    target = some_targets(5, 6, positive=[1, 4])
    expected = 0.0
    for k in (1, 4):
        signs = 2.0 * target.masks[k] - 1.0
        expected += float(torch.log(1 + torch.exp(-signs * logits[k])).sum()) / (6 * 6)
    assert float(mask_loss(logits, target)) * 5 == pytest.approx(expected)


def test_the_score_loss_is_the_papers_and_leaves_out_what_does_not_count() -> None:
    logits = torch.tensor([0.3, -1.0, 2.0, 5.0])
    target = some_targets(4, 2, positive=[0, 2])
    target = replace(target, has_score=torch.tensor([True, True, True, False]))
    signs = [1, -1, 1]
    expected = sum(
        float(np.log1p(np.exp(-y * x))) for x, y in zip([0.3, -1.0, 2.0], signs, strict=True)
    )
    assert float(score_loss(logits, target)) * 4 == pytest.approx(expected)


def test_coarse_logits_are_enlarged_to_the_masks() -> None:
    target = some_targets(1, 8, positive=[0])
    target = PatchTarget(
        *(target.is_positive, target.has_score, target.has_mask), torch.ones(1, 8, 8)
    )
    found = mask_loss(torch.full((1, 4, 4), 2.0), target)
    assert float(found) == pytest.approx(np.log1p(np.exp(-2.0)))


def _patches(model: DeepMask, count: int) -> Tensor:
    side = model.settings.patch_px + 2 * model.settings.context_px
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8)


def test_losses_weigh_a_patch_alike_in_batches_of_any_size() -> None:
    torch.manual_seed(0)
    model = DeepMask(DeepMaskModelSettings(**SMALL, dropout=0.0), 1).double()
    patches, target = _patches(model, 4), some_targets(4, 64, positive=[0, 3])
    whole = model([patches], [target])
    halves = [
        model([patches[part]], [PatchTarget(*(x[part] for x in vars(target).values()))])
        for part in (slice(0, 2), slice(2, 4))
    ]
    for name in ("loss_mask", "loss_score"):
        mean = (halves[0][name] + halves[1][name]) / 2
        torch.testing.assert_close(whole[name], mean)


def test_the_score_has_a_32nd_of_the_weight_whatever_the_batch() -> None:
    torch.manual_seed(0)
    model = DeepMask(DeepMaskModelSettings(**SMALL, dropout=0.0), 1)
    patches, target = _patches(model, 3), some_targets(3, 64, positive=[0])
    losses = model([patches], [target])
    features = model.features(patches)[0][:, :, 1:-1, 1:-1]
    reduced, vectors = model.bottleneck(features)
    scores = model.score_head(features, reduced, vectors).flatten()
    masks = model.coarse_masks(vectors.flatten(1))
    torch.testing.assert_close(losses["loss_score"], score_loss(scores, target))  # 32 / 32
    torch.testing.assert_close(losses["loss_mask"], 32 * mask_loss(masks, target))


def test_negatives_teach_no_masks() -> None:
    torch.manual_seed(0)
    model = DeepMask(DeepMaskModelSettings(**SMALL), 1)
    losses = model([_patches(model, 2)], [some_targets(2, 64, positive=[])])
    losses["loss_mask"].backward(retain_graph=True)
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())
    losses["loss_score"].backward()
    assert all(p.grad is not None and p.grad.any() for p in model.score_head.parameters())


def test_updates_on_the_same_patches_lower_both_losses() -> None:
    torch.manual_seed(0)
    model = DeepMask(DeepMaskModelSettings(**SMALL, dropout=0.0), 1)
    patches, target = _patches(model, 4), some_targets(4, 64, positive=[0, 3])
    square = torch.zeros(64, 64, dtype=torch.bool)
    square[16:48, 16:48] = True
    target = replace(target, masks=square.expand(4, 64, 64))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.003, momentum=0.9)
    history = []
    for _ in range(30):
        losses = model([patches], [target])
        optimizer.zero_grad()
        sum(losses.values(), torch.zeros(())).backward()
        optimizer.step()
        history.append({name: float(loss.detach()) for name, loss in losses.items()})
    assert history[-1]["loss_mask"] < 0.5 * history[0]["loss_mask"]
    assert history[-1]["loss_score"] < 0.95 * history[0]["loss_score"]
