import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from pointrend_repro.base.errors import UserError
from pointrend_repro.modeling.backbone import FPNBackbone, TrunkBackbone
from pointrend_repro.modeling.conv_norm import ConvNorm
from pointrend_repro.modeling.resnet import ResNet
from pointrend_repro.settings.backbone import BackboneSettings


def trunk(name: str = "resnet50", **changes: object) -> ResNet:
    values = {"norm": "frozen_bn", "stride_in_1x1": True, "freeze_at": 0}
    return ResNet(name, **(values | changes)).eval()  # type: ignore[arg-type]


def conv2_geometry(model: ResNet, stage: str) -> list[tuple[int, int]]:
    return [(b.conv2.stride[0], b.conv2.dilation[0]) for b in getattr(model, stage)]


@pytest.fixture(scope="module")
def resnet103() -> ResNet:
    return trunk(
        "resnet103",
        norm="sync_bn",
        stride_in_1x1=False,
        output_stride=16,
        multi_grid=(1, 2, 4),
    )


def test_resnet103_has_three_stem_convolutions_and_resnet101s_stages(resnet103: ResNet) -> None:
    shapes = {k: tuple(v.shape) for k, v in resnet103.state_dict().items()}
    assert shapes["stem.conv1.weight"] == (64, 3, 3, 3)
    assert shapes["stem.conv2.weight"] == (64, 64, 3, 3)
    assert shapes["stem.conv3.weight"] == (128, 64, 3, 3)
    assert shapes["stem.conv3.norm.running_var"] == (128,)
    assert shapes["res2.0.shortcut.weight"] == (256, 128, 1, 1)
    convolutions = [m for m in resnet103.modules() if isinstance(m, nn.Conv2d)]
    shortcuts = 4
    assert len(convolutions) - shortcuts == 102  # and the classifier that ImageNet training had


def test_multi_grid_multiplies_the_dilations_of_res5(resnet103: ResNet) -> None:
    # detectron2's RES5_DILATION 2 with RES5_MULTI_GRID [1, 2, 4].
    assert conv2_geometry(resnet103, "res5") == [(1, 2), (1, 4), (1, 8)]
    assert set(conv2_geometry(resnet103, "res4")) == {(1, 1), (2, 1)}


def test_stride_8_dilates_res4_and_doubles_res5(resnet103: ResNet) -> None:
    """TF-slim's stack_blocks_dense: the block that gives up its stride keeps its own dilation."""
    resnet103.set_output_stride(8)
    assert conv2_geometry(resnet103, "res4") == [(1, 1)] + [(1, 2)] * 22
    assert conv2_geometry(resnet103, "res5") == [(1, 4), (1, 8), (1, 16)]
    assert conv2_geometry(resnet103, "res3")[0] == (2, 1)
    resnet103.set_output_stride(16)
    assert conv2_geometry(resnet103, "res4")[0] == (2, 1)
    assert conv2_geometry(resnet103, "res5") == [(1, 2), (1, 4), (1, 8)]


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("name", ["resnet18_narrow", "resnet50"])
def test_output_strides(name: str, output_stride: int) -> None:
    model = trunk(name, output_stride=output_stride)
    with torch.no_grad():
        features = model(torch.zeros(1, 3, 64, 96))
    strides = {k: (64 / v.shape[2], 96 / v.shape[3]) for k, v in features.items()}
    assert strides == {
        "res2": (4, 4),
        "res3": (8, 8),
        "res4": (min(16, output_stride),) * 2,
        "res5": (output_stride,) * 2,
    }


@pytest.mark.parametrize("multi_grid", [False, True])
@pytest.mark.parametrize("stride_in_1x1", [False, True])
@pytest.mark.parametrize("trained", [16, 8])
@pytest.mark.parametrize("name", ["resnet18_narrow", "resnet50", "resnet103"])
def test_other_strides_compute_the_same_features_where_both_have_cells(
    name: str, trained: int, stride_in_1x1: bool, multi_grid: bool
) -> None:
    """The algorithme à trous (DeepLabV3, section 3.1), exact whichever convolution strides."""
    torch.manual_seed(0)
    grid = () if not multi_grid else (1, 2, 4)[: 2 if name == "resnet18_narrow" else 3]
    model = trunk(
        name, output_stride=trained, multi_grid=grid, stride_in_1x1=stride_in_1x1
    ).double()
    image = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    with torch.no_grad():
        as_trained = model(image)
        model.set_output_stride(24 - trained)
        other = model(image)
        model.set_output_stride(trained)
        again = model(image)
    fine, coarse = (as_trained, other) if trained == 8 else (other, as_trained)
    torch.testing.assert_close(fine["res4"][..., ::2, ::2], coarse["res4"])
    torch.testing.assert_close(fine["res5"][..., ::2, ::2], coarse["res5"])
    assert all(torch.equal(again[k], as_trained[k]) for k in as_trained)


def test_output_stride_has_no_weights() -> None:
    coarse, fine = trunk(output_stride=32), trunk(output_stride=8)
    assert {k: v.shape for k, v in coarse.state_dict().items()} == {
        k: v.shape for k, v in fine.state_dict().items()
    }
    before = {k: v.data_ptr() for k, v in coarse.state_dict().items()}
    coarse.set_output_stride(8)
    assert {k: v.data_ptr() for k, v in coarse.state_dict().items()} == before


def test_multi_grid_must_have_a_number_for_each_block() -> None:
    with pytest.raises(UserError, match=r"multi_grid.*resnet18_narrow has 2 blocks"):
        trunk("resnet18_narrow", multi_grid=(1, 2, 4))


def test_dilated_convolution_is_one_with_zeros_between_its_weights() -> None:
    torch.manual_seed(0)
    conv = ConvNorm(2, 3, 3, norm="frozen_bn")
    conv.set_geometry(1, 3)
    image = torch.randn(1, 2, 9, 11)
    spread = torch.zeros(3, 2, 7, 7)
    spread[:, :, ::3, ::3] = conv.weight.detach()
    wanted = conv.norm(F.conv2d(image, spread, padding=3))
    torch.testing.assert_close(conv(image), wanted)


def test_batch_norm_is_frozen_where_the_trunk_is() -> None:
    model = trunk("resnet18_narrow", norm="bn", freeze_at=2).train()
    kinds = {
        stage: {type(m) for m in getattr(model, stage).modules() if hasattr(m, "running_var")}
        for stage in ("stem", "res2", "res3")
    }
    assert kinds == {
        "stem": {FrozenBatchNorm2d},
        "res2": {FrozenBatchNorm2d},
        "res3": {nn.BatchNorm2d},
    }
    trained = {n.split(".")[0] for n, p in model.named_parameters() if p.requires_grad}
    assert trained == {"res3", "res4", "res5"}


@pytest.mark.parametrize("norm", ["bn", "sync_bn"])
def test_batch_norms_predict_as_the_frozen_one(norm: str) -> None:
    torch.manual_seed(0)
    model = trunk("resnet18_narrow", norm=norm)
    image = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        model.train()(image)  # moves the running statistics
        model.eval()
        frozen = trunk("resnet18_narrow", norm="frozen_bn")
        frozen.load_state_dict(model.state_dict())
        torch.testing.assert_close(model(image)["res5"], frozen(image)["res5"])


def test_synchronised_norm_trains_in_one_process_without_a_gpu() -> None:
    torch.manual_seed(0)
    model = trunk("resnet18_narrow", norm="sync_bn").train()
    model(torch.randn(2, 3, 32, 32))["res5"].sum().backward()
    assert model.res5[0].conv1.norm.weight.grad is not None
    assert not torch.equal(model.res5[0].conv1.norm.running_mean, torch.zeros(128))


@pytest.mark.parametrize(("output_stride", "padded"), [(32, (64, 96)), (16, (48, 80))])
def test_trunk_backbone_pads_to_its_output_stride(
    output_stride: int, padded: tuple[int, int]
) -> None:
    settings = BackboneSettings(name="resnet18_narrow", norm="gn", output_stride=output_stride)
    images = [torch.zeros(3, 33, 5), torch.zeros(3, 2, 65)]
    backbone = TrunkBackbone(settings)
    assert backbone.padded_size(images) == padded
    features = backbone(images)
    assert features["res5"].shape[2:] == (padded[0] // output_stride, padded[1] // output_stride)


def test_feature_pyramid_refuses_a_dilated_trunk() -> None:
    settings = BackboneSettings(name="resnet18_narrow", norm="gn", output_stride=16)
    with pytest.raises(UserError, match=r"output_stride 16.*needs 32"):
        FPNBackbone(settings)
