"""The training loop starts from the ImageNet weights that a variant names."""

import pytest
import torch

from pointrend_repro.base.errors import UserError
from pointrend_repro.modeling.build import build_mask_rcnn
from pointrend_repro.training.loop import train
from small_experiment import OVERRIDES, read_train_split, small_settings


def _settings(weights):
    backbone = OVERRIDES["model"]["backbone"] | {"weights": str(weights), "freeze_at": 2}
    return small_settings(
        model={"backbone": backbone}, schedule={"total_iters": 1, "lr_drop_iters": []}
    )


def test_training_starts_from_the_file(coco_builder, tmp_path):
    settings = _settings(tmp_path / "trunk.pth")
    torch.manual_seed(5)
    trunk = build_mask_rcnn(settings.model, num_classes=3).backbone.bottom_up.state_dict()
    torch.save(trunk, tmp_path / "trunk.pth")
    model = train(
        settings, read_train_split(coco_builder()), seed=0, folder=tmp_path / "run", device="cpu"
    )
    trained = model.backbone.bottom_up.state_dict()
    frozen = [key for key in trunk if key.startswith(("stem.", "res2."))]
    assert all(torch.equal(trained[key], trunk[key]) for key in frozen)
    # The rest has moved by one update of a small learning rate.
    change = (trained["res5.1.conv1.weight"] - trunk["res5.1.conv1.weight"]).abs().max()
    assert 0 < change < 0.01


def test_training_without_the_file(coco_builder, tmp_path):
    with pytest.raises(UserError, match=r"none\.pkl: no such file; set model\.backbone\.weights"):
        train(
            _settings(tmp_path / "none.pkl"),
            read_train_split(coco_builder()),
            seed=0,
            folder=tmp_path,
            device="cpu",
        )
