"""Res2Net v1b step by step, from tensors under its authors' names.

Names and shapes are those of github.com/Res2Net/Res2Net-PretrainedModels (res2net_v1b.py), which
mmdetection has taken over: `conv1.{0,1,3,4,6}` and `bn1` before `layer1`, and in each block
`conv1`, `convs.k` and `bns.k`, `conv3`, and `downsample.{1,2}` in the first one of a stage.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

SCALES = 4


def random_tensors(width: int, stem: int, blocks: tuple[int, ...]) -> dict[str, Tensor]:
    """Make the tensors of a Res2Net with a classifier.

    Args:
        width: of each part in the first stage.
        stem: channels before the first stage; its blocks put out four times as many.
    """
    found: dict[str, Tensor] = {}

    def conv(name: str, outputs: int, inputs: int, side: int) -> None:
        found[f"{name}.weight"] = torch.randn(outputs, inputs, side, side) / inputs**0.5 / side

    def norm(name: str, channels: int) -> None:
        found[f"{name}.weight"] = torch.rand(channels) + 0.5
        found[f"{name}.bias"] = torch.randn(channels) * 0.1
        found[f"{name}.running_mean"] = torch.randn(channels) * 0.1
        found[f"{name}.running_var"] = torch.rand(channels) + 0.5
        found[f"{name}.num_batches_tracked"] = torch.tensor(7)

    ends = [(0, stem // 2, 3), (3, stem // 2, stem // 2), (6, stem, stem // 2)]
    for place, outputs, inputs in ends:
        conv(f"conv1.{place}", outputs, inputs, 3)
        norm("bn1" if place == 6 else f"conv1.{place + 1}", outputs)
    inputs = stem
    for stage, count in enumerate(blocks):
        outputs, each = stem * 4 * 2**stage, width * 2**stage
        for number in range(count):
            block = f"layer{stage + 1}.{number}"
            conv(f"{block}.conv1", each * SCALES, inputs, 1)
            norm(f"{block}.bn1", each * SCALES)
            for k in range(SCALES - 1):
                conv(f"{block}.convs.{k}", each, each, 3)
                norm(f"{block}.bns.{k}", each)
            conv(f"{block}.conv3", outputs, each * SCALES, 1)
            norm(f"{block}.bn3", outputs)
            if number == 0:
                conv(f"{block}.downsample.1", outputs, inputs, 1)
                norm(f"{block}.downsample.2", outputs)
            inputs = outputs
    return found | {"fc.weight": torch.randn(10, inputs), "fc.bias": torch.randn(10)}


def stages(tensors: dict[str, Tensor], image: Tensor, blocks: tuple[int, ...]) -> list[Tensor]:
    """Compute the maps of all stages of an image (1, 3, H, W)."""

    def normed(x: Tensor, name: str) -> Tensor:
        values = [tensors[f"{name}.{key}"] for key in ("running_mean", "running_var")]
        return F.batch_norm(x, *values, tensors[f"{name}.weight"], tensors[f"{name}.bias"])

    def conv(x: Tensor, name: str, norm: str, stride: int = 1) -> Tensor:
        weight = tensors[f"{name}.weight"]
        return normed(F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2), norm)

    x = F.relu(conv(image, "conv1.0", "conv1.1", 2))
    x = F.relu(conv(x, "conv1.3", "conv1.4"))
    x = F.max_pool2d(F.relu(conv(x, "conv1.6", "bn1")), 3, 2, 1)
    maps = []
    for stage, count in enumerate(blocks):
        for number in range(count):
            name, stride = f"layer{stage + 1}.{number}", 2 if stage and number == 0 else 1
            split = F.relu(conv(x, f"{name}.conv1", f"{name}.bn1")).chunk(SCALES, 1)
            parts: list[Tensor] = []
            for k, part in enumerate(split[:-1]):
                seen = part if number == 0 or k == 0 else part + parts[-1]
                parts.append(F.relu(conv(seen, f"{name}.convs.{k}", f"{name}.bns.{k}", stride)))
            last = split[-1] if number else F.avg_pool2d(split[-1], 3, stride, padding=1)
            y = conv(torch.cat([*parts, last], 1), f"{name}.conv3", f"{name}.bn3")
            if number == 0:
                mean = torch.nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)
                x = conv(mean(x), f"{name}.downsample.1", f"{name}.downsample.2")
            x = F.relu(y + x)
        maps.append(x)
    return maps
