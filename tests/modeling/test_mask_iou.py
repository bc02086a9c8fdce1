"""Mask scoring: the target is the IoU with the whole object, of which a box may see a part."""

import numpy as np
import pytest
import torch
from small_htc import SCORING
from torch import Tensor

from pointrend_repro.data.structures import Proposals, Target
from pointrend_repro.modeling.mask_heads.mask_iou import MaskIouHead, mask_ious
from pointrend_repro.settings.heads import MaskScoringSettings

SIDE = 64  # of the image; boxes of 32 pixels have masks of 32 cells, so that a cell is a pixel


def disc() -> Tensor:
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    return (x - 30) ** 2 + (y - 33) ** 2 < 20**2


def case(boxes: list[list[float]]) -> tuple[Target, Proposals]:
    masks = disc()[None]
    of_image = Target(torch.tensor([[10.0, 13, 51, 54]]), torch.tensor([0]), masks)
    count = len(boxes)
    zeros = torch.zeros(count, dtype=torch.int64)
    found = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return of_image, Proposals(found, zeros, zeros)


def test_the_iou_is_that_of_the_whole_image() -> None:
    corners = [(0, 0), (12, 10), (25, 20), (31, 31), (16, 17)]
    of_image, proposals = case([[x, y, x + 32.0, y + 32.0] for x, y in corners])
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(len(corners), 32, 32, generator=generator)
    wanted = []
    for (x, y), mask in zip(corners, logits, strict=True):
        pasted = np.zeros((SIDE, SIDE), dtype=bool)
        pasted[y : y + 32, x : x + 32] = mask.numpy() > 0
        truth = disc().numpy()
        wanted.append((pasted & truth).sum() / (pasted | truth).sum())
    found = mask_ious(logits, [proposals], [of_image])
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5)


def test_a_perfect_mask_of_half_an_object_has_half_of_its_iou() -> None:
    masks = torch.zeros(1, SIDE, SIDE, dtype=torch.bool)
    masks[0, 8:40, 0:64] = True
    of_image = Target(torch.tensor([[0.0, 8, 64, 40]]), torch.tensor([0]), masks)
    zero = torch.zeros(1, dtype=torch.int64)
    left = Proposals(torch.tensor([[0.0, 8, 32, 40]]), zero, zero)
    found = mask_ious(torch.ones(1, 32, 32), [left], [of_image])
    assert found.item() == pytest.approx(0.5)


def test_nothing_predicted_and_nothing_there() -> None:
    of_image, proposals = case([[0, 0, 4, 4]])
    assert mask_ious(-torch.ones(1, 32, 32), [proposals], [of_image]).tolist() == [0.0]
    none, no_boxes = case([])
    assert mask_ious(torch.zeros(0, 32, 32), [no_boxes], [none]).shape == (0,)


def test_only_masks_that_hit_their_object_count_for_the_loss() -> None:
    torch.manual_seed(0)
    scoring = MaskScoringSettings.model_validate(SCORING)
    head = MaskIouHead(8, num_classes=2, resolution=16, settings=scoring)
    torch.nn.init.normal_(head.predictor.weight, std=0.5)
    of_image, proposals = case([[14, 17, 46, 49], [0, 0, 32, 32], [14, 17, 46, 49]])
    logits = torch.stack([torch.ones(32, 32), -torch.ones(32, 32), torch.eye(32)])
    rois = torch.randn(3, 8, 16, 16)
    wanted = mask_ious(logits, [proposals], [of_image])
    assert wanted[1] == 0
    assert wanted[0] > wanted[2] > 0
    said = head(rois, logits)[:, 0]
    by_hand = ((said[0] - wanted[0]) ** 2 + (said[2] - wanted[2]) ** 2) / 2
    loss = head.loss(rois, logits, [proposals], [of_image])
    torch.testing.assert_close(loss, 0.5 * by_hand)


def test_without_a_hit_the_loss_is_zero_and_keeps_its_graph() -> None:
    scoring = MaskScoringSettings.model_validate(SCORING)
    head = MaskIouHead(8, num_classes=2, resolution=16, settings=scoring)
    of_image, proposals = case([[14, 17, 46, 49]])
    loss = head.loss(torch.randn(1, 8, 16, 16), -torch.ones(1, 32, 32), [proposals], [of_image])
    assert loss == 0
    loss.backward()
    assert all(p.grad is not None for p in head.parameters())
