import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pointrend_repro.base.errors import UserError
from pointrend_repro.modeling.context_block import ContextBlock
from pointrend_repro.modeling.resnet import ResNet
from pointrend_repro.modeling.resnet_blocks import BlockParts, BottleneckBlock


def slow(block: ContextBlock, x: Tensor) -> Tensor:
    """Equation 4 of GCNet, one image at a time."""
    outputs = []
    for image in x:
        cells = image.flatten(1).T  # (HW, C)
        scores = cells @ block.attention.weight.flatten() + block.attention.bias
        weights = scores.exp() / scores.exp().sum()
        context = sum(w * cell for w, cell in zip(weights, cells, strict=True))
        inner = block.squeeze.weight.flatten(1) @ context + block.squeeze.bias
        inner = (inner - inner.mean()) / (inner.var(correction=0) + 1e-5).sqrt()
        inner = inner * block.norm.weight.flatten() + block.norm.bias.flatten()
        added = block.expand.weight.flatten(1) @ F.relu(inner) + block.expand.bias
        outputs.append(image + added[:, None, None])
    return torch.stack(outputs)


def test_it_adds_what_the_whole_map_holds_to_each_cell() -> None:
    torch.manual_seed(0)
    block = ContextBlock(32, 1 / 4)
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.3)
    x = torch.randn(3, 32, 5, 4)
    torch.testing.assert_close(block(x), slow(block, x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["resnet18_narrow", "resnext50_narrow", "res2net50_narrow"])
def test_new_ones_change_no_trunk_and_lie_in_res3_to_res5(name: str) -> None:
    torch.manual_seed(0)
    with_blocks = ResNet(name, norm="gn", stride_in_1x1=False, freeze_at=0, context_ratio=1 / 4)
    plain = ResNet(name, norm="gn", stride_in_1x1=False, freeze_at=0)
    plain.load_state_dict(with_blocks.state_dict(), strict=False)
    x = torch.randn(1, 3, 64, 64)
    ours, wanted = with_blocks(x), plain(x)
    assert all(torch.equal(ours[stage], wanted[stage]) for stage in wanted)
    for stage in ("res2", "res3", "res4", "res5"):
        blocks = list(getattr(with_blocks, stage))
        assert all(isinstance(b.context, ContextBlock) == (stage != "res2") for b in blocks)


def test_it_comes_before_the_sum_with_the_shortcut() -> None:
    torch.manual_seed(0)
    block = BottleneckBlock(32, 32, BlockParts("gn", False, context_ratio=0.25), width=8, groups=1)
    nn.init.normal_(block.context.expand.weight)
    x = torch.randn(1, 32, 6, 6)
    inner = block.conv3(F.relu(block.conv2(F.relu(block.conv1(x)))))
    torch.testing.assert_close(block(x), F.relu(slow(block.context, inner) + x))


def test_a_ratio_that_leaves_no_channel_is_refused() -> None:
    with pytest.raises(UserError, match=r"context_ratio 0\.01: leaves none of 16 channels"):
        ContextBlock(16, 0.01)
