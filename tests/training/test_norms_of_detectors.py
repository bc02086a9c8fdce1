"""Norms that a detector's trunk may have in training, as the 3D-FUTURE report's have."""

import pytest
import torch

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.batches import MicroBatches
from pointrend_repro.data.structures import Target
from pointrend_repro.modeling.build import build_mask_rcnn
from pointrend_repro.modeling.detector import MaskRCNN
from pointrend_repro.settings.instances import ModelSettings
from pointrend_repro.settings.start_from import ResolvedStart
from pointrend_repro.training.sharing import check_batch_norm, has_batch_norm
from pointrend_repro.training.starting import freeze


def detector(norm: str) -> MaskRCNN:
    torch.manual_seed(0)
    backbone = {"name": "resnet18_narrow", "norm": norm, "fpn_channels": 8}
    settings = {"backbone": backbone, "detector": {"box_head_channels": 8}}
    head = {"mask_head": {"kind": "4conv", "channels": 8}}
    return build_mask_rcnn(ModelSettings.model_validate(settings | head), 2).train()


def learn(model: MaskRCNN) -> None:
    masks = torch.zeros(1, 64, 64, dtype=torch.bool)
    masks[:, 8:56, 8:56] = True
    target = Target(torch.tensor([[8.0, 8, 56, 56]]), torch.tensor([0]), masks)
    losses = model([255 * torch.rand(3, 64, 64) for _ in range(2)], [target] * 2)
    sum(losses.values()).backward()


def test_sync_bn_follows_the_images_beyond_the_frozen_stages() -> None:
    model = detector("sync_bn")
    learn(model)
    trunk = model.backbone.bottom_up
    assert not trunk.res3[0].conv1.norm.running_mean.eq(0).all()
    assert trunk.res2[0].conv1.norm.running_mean.eq(0).all()
    assert trunk.res3[0].conv1.norm.weight.grad is not None


def test_fixed_statistics_stay_and_scales_learn() -> None:
    model = detector("fixed_statistics_bn")
    learn(model)
    norm = model.backbone.bottom_up.res3[0].conv1.norm
    assert norm.running_mean.eq(0).all()
    assert norm.weight.grad.abs().sum() > 0
    check_batch_norm(model, MicroBatches(8, 1), is_joined=False)


def test_sync_bn_needs_all_images_of_a_process_at_once() -> None:
    model = detector("sync_bn")
    check_batch_norm(model, MicroBatches(8, 1, world_size=8), is_joined=False)
    with pytest.raises(UserError, match=r"set optimizer\.images_per_step to 4"):
        check_batch_norm(model, MicroBatches(8, 1, world_size=2), is_joined=False)


def test_frozen_statistics_need_no_whole_batch() -> None:
    model = detector("bn")
    with pytest.raises(UserError, match="batch normalisation needs all 8 images"):
        check_batch_norm(model, MicroBatches(8, 1), is_joined=False)
    start = ResolvedStart(weights="x", frozen=("backbone",))
    freeze(model, start)
    check_batch_norm(model, MicroBatches(8, 1), is_joined=False)
    check_batch_norm(model, MicroBatches(8, 1, world_size=2), is_joined=False)
    assert not has_batch_norm(model)
