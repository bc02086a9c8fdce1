"""DeepMask's and SharpMask's `model.t7`, as their code makes them, at any width; and what they do.

The layout is written down from facebookresearch/deepmask at commit 280a716b (DeepMask.lua,
SharpMask.lua, modelUtils.lua, TrainerSharpMask.lua, which saves {model, config}), the trunk's from
facebook/fb.resnet.torch at 985e569d (models/resnet.lua). `run` does to an input what each Torch7
module does at inference by its documentation, and knows nothing of our model.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch7_writer import Made, Storage

Numbers = Callable[..., Tensor]


def random_numbers(*sides: int) -> Tensor:
    """Weights of a size that keeps a layer's output near its input's."""
    return torch.randn(sides) / math.sqrt(math.prod(sides[1:]) or 1)


def stand_ins(*sides: int) -> Tensor:
    """Tensors of any size in the memory of one number."""
    return torch.zeros(1).expand(sides)


def sequential(*parts: Made) -> Made:
    return Made("nn.Sequential", {"modules": dict(enumerate(parts, 1)), "train": True})


def padding(kind: str, by: int) -> Made:
    return Made(f"nn.{kind}", dict.fromkeys(("pad_l", "pad_r", "pad_t", "pad_b"), by))


def convolution(new: Numbers, shape: tuple[int, int, int], stride: int = 1, bias: int = 1) -> Made:
    """A cudnn.SpatialConvolution, in a Sequential after its padding if it is larger than 1x1."""
    wide, into, side = shape
    fields = {"kW": side, "kH": side, "dW": stride, "dH": stride, "padW": 0, "padH": 0}
    fields |= {"weight": new(wide, into, side, side), "gradWeight": new(wide, into, side, side)}
    fields |= {"bias": new(wide), "gradBias": new(wide)} if bias else {}
    made = Made("cudnn.SpatialConvolution", fields | {"_type": "torch.CudaTensor"})
    return sequential(padding("SpatialSymmetricPadding", side // 2), made) if side > 1 else made


def normed(new: Numbers, *shape: int, stride: int = 1) -> tuple[Made, Made]:
    """A convolution of the trunk and its batch normalisation made constant."""
    wide, into, side = shape
    constant = Made("nn.SpatialConstDiagonal", {"a": 1 + new(wide) / 4, "b": new(wide)})
    return convolution(new, (wide, into, side), stride, bias=0), constant


def relu() -> Made:
    return Made("cudnn.ReLU", {"inplace": True})


def block(new: Numbers, into: int, sides: tuple[tuple[int, int], ...], stride: int) -> Made:
    """A residual block of convolutions (channels, side); the stride is in the first of 3x3."""
    parts: list[Made] = []
    channels, left = into, stride
    for wide, side in sides:
        own = left if side == 3 else 1
        left = 1 if side == 3 else left
        parts += [*normed(new, wide, channels, side, stride=own), relu()]
        channels = wide
    shortcut = Made("nn.Identity")
    if channels != into:
        shortcut = sequential(*normed(new, channels, into, 1, stride=stride))
    branches = {1: sequential(*parts[:-1]), 2: shortcut}
    both = Made("nn.ConcatTable", {"modules": branches})
    return sequential(both, Made("nn.CAddTable", {"inplace": True}), relu())


def linear(new: Numbers, outputs: int, inputs: int) -> Made:
    return Made("nn.Linear", {"weight": new(outputs, inputs), "bias": new(outputs)})


def view(*sides: int) -> Made:
    return Made("nn.View", {"size": Storage(torch.tensor(sides)), "numElements": math.prod(sides)})


class Layout:
    """The widths of a model: ResNet-50's and the published ones unless others are given."""

    def __init__(self, new: Numbers, *, narrow: bool = False) -> None:
        self.new = new
        self.narrow = narrow
        # Stem, and the three layers' channels, as in `resnet18_narrow` and ResNet-50.
        self.stem = 16 if narrow else 64
        self.layers = (16, 32, 64) if narrow else (256, 512, 1024)
        self.counts = (2, 2, 2) if narrow else (3, 4, 6)
        self.features, self.bottleneck, self.hidden = (8, 24, 20) if narrow else (128, 512, 1024)
        self.cells, self.mask, self.k = (4, 6, 16) if narrow else (10, 56, 32)
        self.skip = (12, 12, 12, 10) if narrow else (64, 64, 64, 32)

    def deepmask(self) -> Made:
        """An nn.DeepMask."""
        fields = {"trunk": self._trunk(), "maskBranch": self._mask(), "scoreBranch": self._score()}
        return Made("nn.DeepMask", fields | {"fSz": self.cells})

    def sharpmask(self) -> Made:
        """An nn.SharpMask, whose nets are shared by its refinement modules."""
        base = self.deepmask().fields
        across = {i: self._horizontal(i) for i in range(1, 5)}
        down = {i: self._vertical(i) for i in range(1, 5)}
        first = linear(self.new, self.cells**2 * self.k, self.bottleneck)
        down[0] = sequential(first, view(32, self.k, self.cells, self.cells))
        modules = {0: down[0]} | {i: self._module(across[i], down[i], i) for i in range(1, 5)}
        tables = {"neths": across, "netvs": down, "refs": modules, "inps": {1: torch.ones(2)}}
        numbers = {"km": self.k, "ks": self.k, "fSz": self.cells, "skpos": {1: 8, 2: 6, 3: 5, 4: 3}}
        kept = {"trunk": base["trunk"], "scoreBranch": base["scoreBranch"]}
        return Made("nn.SharpMask", kept | {"maskBranchDM": base["maskBranch"]} | tables | numbers)

    def _trunk(self) -> Made:
        new, channels, layers = self.new, self.stem, []
        for number, (wide, count) in enumerate(zip(self.layers, self.counts, strict=True)):
            blocks = []
            for i in range(count):
                quarter = wide // 4
                bottleneck = ((quarter, 1), (quarter, 3), (wide, 1))
                sides = ((wide, 3), (wide, 3)) if self.narrow else bottleneck
                blocks.append(block(new, channels, sides, 2 if i == 0 and number else 1))
                channels = wide
            layers.append(sequential(*blocks))
        pool = Made("nn.SpatialMaxPooling", {"kW": 3, "kH": 3, "dW": 2, "dH": 2, "padW": 1})
        conv1 = normed(new, self.stem, 3, 7, stride=2)
        reduce = convolution(new, (self.features, channels, 1))
        flat = self.features * self.cells**2
        return sequential(
            *(*conv1, relu(), pool, *layers, padding("SpatialZeroPadding", -1), reduce, relu()),
            *(view(32, flat), linear(new, self.bottleneck, flat)),
        )

    def _mask(self) -> Made:
        up = sequential(Made("nn.Copy"), view(32, self.mask, self.mask), Made("nn.Copy"))
        return sequential(sequential(linear(self.new, self.mask**2, self.bottleneck)), up)

    def _score(self) -> Made:
        drop = [Made("nn.Dropout", {"p": 0.5}) for _ in range(2)]
        threshold = Made("nn.Threshold", {"threshold": 0, "val": 1e-6})
        first = linear(self.new, self.hidden, self.bottleneck)
        return sequential(drop[0], first, threshold, drop[1], linear(self.new, 1, self.hidden))

    def _horizontal(self, i: int) -> Made:
        own, between = self.k // 2 ** (i - 1), self.skip[i - 1]
        channels = (*self.layers[::-1], self.stem)[i - 1]
        crop = [padding("SpatialZeroPadding", -(2 ** (i - 1)))] if i > 1 else []
        shapes = [(between, channels, 3), (own, between, 3), (own // 2, own, 3)]
        convolutions = [self._padded(*shape) for shape in shapes]
        return sequential(*crop, *_joined(convolutions))

    def _vertical(self, i: int) -> Made:
        own = self.k // 2 ** (i - 1)
        return sequential(*_joined([self._padded(own, own, 3), self._padded(own // 2, own, 3)]))

    def _module(self, across: Made, down: Made, i: int) -> Made:
        both = Made("nn.ParallelTable", {"modules": {1: across, 2: down}})
        parts = [both, Made("nn.CAddTable"), relu()]
        parts.append(Made("nn.SpatialUpSamplingNearest", {"scale_factor": 2}))
        if i == 4:
            side = 16 * self.cells
            parts += [*self._padded(1, self.k // 16, 3), view(32, side * side)]
        return sequential(*parts)

    def _padded(self, *shape: int) -> list[Made]:
        wide, into, side = shape
        inside = convolution(self.new, (wide, into, side)).fields["modules"]
        return [inside[1], inside[2]]


def _joined(convolutions: list[list[Made]]) -> list[Made]:
    parts = list(convolutions[0])
    for following in convolutions[1:]:
        parts += [relu(), *following]
    return parts


def parts_of(module: Made) -> list[Made]:
    return list(module.fields["modules"].values())


def run(module: Made, x: Any) -> Any:
    """Do what a Torch7 module does in evaluation; views keep the batch."""
    return _RUN[module.kind.split(".")[1]](module, x)


def _sequential(module: Made, x: Any) -> Any:
    for part in parts_of(module):
        x = run(part, x)
    return x


def _symmetric(module: Made, x: Tensor) -> Tensor:
    by = module.fields["pad_l"]
    for axis in (2, 3):
        before = x.narrow(axis, 0, by).flip(axis)
        after = x.narrow(axis, x.shape[axis] - by, by).flip(axis)
        x = torch.cat([before, x, after], dim=axis)
    return x


_RUN: dict[str, Callable[[Made, Any], Any]] = {
    "Sequential": _sequential,
    "ConcatTable": lambda m, x: [run(part, x) for part in parts_of(m)],
    "ParallelTable": lambda m, x: [run(part, y) for part, y in zip(parts_of(m), x, strict=True)],
    "CAddTable": lambda m, x: x[0] + x[1],
    "Identity": lambda m, x: x,
    "Dropout": lambda m, x: x,
    "Copy": lambda m, x: x,
    "View": lambda m, x: x.reshape(len(x), *m.fields["size"].values.tolist()[1:]),
    "ReLU": lambda m, x: x.clamp(min=0),
    "Threshold": lambda m, x: x.clamp(min=0),  # modelUtils.lua:54: at inference it is a ReLU
    "SpatialConstDiagonal": lambda m, x: (
        x * m.fields["a"].view(-1, 1, 1) + m.fields["b"].view(-1, 1, 1)
    ),
    "SpatialConvolution": lambda m, x: F.conv2d(
        x, m.fields["weight"], m.fields.get("bias"), stride=m.fields["dW"]
    ),
    "Linear": lambda m, x: x @ m.fields["weight"].T + m.fields["bias"],
    "SpatialMaxPooling": lambda m, x: F.max_pool2d(x, 3, stride=2, padding=1),
    "SpatialSymmetricPadding": _symmetric,
    "SpatialZeroPadding": lambda m, x: F.pad(x, [m.fields["pad_l"]] * 4),
    "SpatialUpSamplingNearest": lambda m, x: F.interpolate(x, scale_factor=2, mode="nearest"),
}
