"""ImageNet weights in the trunks of DeepMask and SharpMask, which end before the classifiers do."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torchvision.models import vgg

from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.imagenet import load_trunk
from pointrend_repro.modeling.deepmask.model import DeepMask
from pointrend_repro.settings.deepmask import DeepMaskModelSettings


def _model(path: Path, context_px: int = 16, **backbone: Any) -> DeepMask:
    values = {"backbone": backbone | {"weights": str(path)}, "context_px": context_px}
    return DeepMask(DeepMaskModelSettings.model_validate(values | {"patch_px": 64}), 1)


@pytest.mark.parametrize(("pooling", "last", "cut"), [(4, "res4", "res5"), (3, "res3", "res4")])
def test_a_resnet_gives_the_stages_that_a_trunk_has(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, pooling: int, last: str, cut: str
) -> None:
    state = torchvision.models.resnet50().state_dict()
    torch.save(state, tmp_path / "r50.pth")
    model = _model(tmp_path / "r50.pth", pooling=pooling)
    with caplog.at_level(logging.INFO):
        load_trunk(model, model.settings)
    own = model.backbone.bottom_up.state_dict()
    assert torch.equal(own["stem.conv1.weight"], state["conv1.weight"])
    theirs = f"layer{int(last[-1]) - 1}.1.conv2.weight"
    assert torch.equal(own[f"{last}.1.conv2.weight"], state[theirs])
    assert f"{cut}.0.conv1.weight" in caplog.text


def _vgg_file(path: Path, features: dict[str, torch.Tensor]) -> Path:
    # As in vgg11-8a719046.pth (torchvision 0.29, `vgg11().state_dict()`), whose classifier has
    # three layers of 4096 and 1000 numbers instead of 1.
    names = [f"classifier.{i}.{part}" for i in (0, 3, 6) for part in ("weight", "bias")]
    named = {f"features.{name}": value for name, value in features.items()}
    torch.save(named | {name: torch.zeros(1) for name in names}, path)
    return path


def test_a_vgg_gives_its_convolutions(tmp_path: Path) -> None:
    features = vgg.make_layers(vgg.cfgs["A"]).state_dict()
    path = _vgg_file(tmp_path / "vgg11.pth", features)
    model = _model(path, context_px=0, name="vgg11", padding="zero")
    load_trunk(model, model.settings)
    own = model.backbone.bottom_up.features.state_dict()
    assert own.keys() == features.keys()
    assert all(torch.equal(own[name], value) for name, value in features.items())


def test_another_vgg_does_not_fit(tmp_path: Path) -> None:
    path = _vgg_file(tmp_path / "vgg.pth", {"0.weight": torch.zeros(64, 3, 3, 3)})
    model = _model(path, context_px=0, name="vgg11_narrow", padding="zero")
    with pytest.raises(UserError, match="does not fit backbone vgg11_narrow"):
        load_trunk(model, model.settings)
