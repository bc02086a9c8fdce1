"""A torchvision ResNet with its weights renamed is our trunk: same names, same features."""

import pytest
import torch
import torchvision

from pointrend_repro.checkpoints.torchvision_names import from_torchvision, is_torchvision
from pointrend_repro.modeling.resnet import ResNet


@pytest.mark.parametrize(
    ("ours", "theirs"), [("resnet50", "resnet50"), ("resnext101_64x4d", "resnext101_64x4d")]
)
def test_features_are_torchvisions(ours, theirs):
    torch.manual_seed(0)
    with torch.no_grad():
        model = getattr(torchvision.models, theirs)().eval()
        for tensor in model.buffers():  # statistics that are not neutral
            if tensor.is_floating_point():
                tensor.add_(0.1 * torch.rand(tensor.shape))
        assert is_torchvision(model.state_dict())
        trunk = ResNet(ours, norm="frozen_bn", stride_in_1x1=False, freeze_at=0).eval()
        trunk.load_state_dict(from_torchvision(model.state_dict()))
        image = torch.randn(1, 3, 64, 96)
        features = trunk(image)
        x = model.maxpool(model.relu(model.bn1(model.conv1(image))))
        for stage in (1, 2, 3, 4):
            x = getattr(model, f"layer{stage}")(x)
            torch.testing.assert_close(features[f"res{stage + 1}"], x, rtol=1e-3, atol=1e-3)


def test_biases_of_convolutions_are_left_out():
    """Caffe's ResNets under these names have them (open-mmlab/mmdetection issue 3340)."""
    names = ["conv1.bias", "layer1.0.conv2.bias", "layer3.0.downsample.0.bias", "fc.bias"]
    kept = ["bn1.bias", "layer1.0.bn2.bias", "layer3.0.downsample.1.bias"]
    renamed = from_torchvision({name: name for name in [*names, *kept]})
    assert renamed == {
        "stem.conv1.norm.bias": "bn1.bias",
        "res2.0.conv2.norm.bias": "layer1.0.bn2.bias",
        "res4.0.shortcut.norm.bias": "layer3.0.downsample.1.bias",
    }
