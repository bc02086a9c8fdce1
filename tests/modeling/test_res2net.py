import pytest
import torch

from pointrend_repro.base.errors import UserError
from pointrend_repro.modeling.resnet import TRUNKS, ResNet


def trunk(name: str, **changes: object) -> ResNet:
    values = {"norm": "frozen_bn", "stride_in_1x1": False, "freeze_at": 0}
    return ResNet(name, **(values | changes)).eval()  # type: ignore[arg-type]


def test_res2net101_has_the_shapes_of_version_1b() -> None:
    """Base width 26 and 4 scales. With a 7x7 convolution it has 45.21 million (its README)."""
    with torch.device("meta"):
        model = trunk("res2net101")
    shapes = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    assert shapes["stem.conv3.weight"] == (64, 32, 3, 3)
    assert shapes["res2.0.conv1.weight"] == (104, 64, 1, 1)
    assert shapes["res4.22.convs.2.weight"] == (104, 104, 3, 3)
    assert shapes["res5.2.conv3.weight"] == (2048, 832, 1, 1)
    # frozen norms have no parameters: scale and shift are counted as buffers
    learnt = sum(v.numel() for k, v in model.state_dict().items() if "running" not in k)
    stem = 9 * (3 * 32 + 32 * 32 + 32 * 64) + 4 * 32 - 49 * 3 * 64
    assert learnt + 2048 * 1000 + 1000 - stem == pytest.approx(45.21e6, abs=5e3)


@pytest.mark.parametrize("size", [(64, 96), (50, 70)])
def test_maps_have_the_strides_and_channels_of_a_pyramid(size: tuple[int, int]) -> None:
    model = trunk("res2net50_narrow", norm="gn")
    plain = trunk("resnet50_narrow", norm="gn")
    image = torch.zeros(1, 3, *size)
    wanted = [m.shape for m in plain(image).values()]
    assert [m.shape for m in model(image).values()] == wanted
    assert TRUNKS["res2net50_narrow"].channels == TRUNKS["resnet50_narrow"].channels


def test_settings_that_it_cannot_honour_are_refused() -> None:
    with pytest.raises(UserError, match=r"stride_in_1x1: res2net101 has its strides in 3x3"):
        trunk("res2net101", stride_in_1x1=True)
    with pytest.raises(UserError, match=r"output_stride 16: res2net50_narrow needs 32"):
        trunk("res2net50_narrow", output_stride=16)
