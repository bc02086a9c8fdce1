"""Initial weights, named as detectron2's configuration and the paper's references name them.

Weights on the meta device have no values, and none are drawn: torch would import its compiler for
that, which takes 2 s.
"""

from typing import Literal

from torch import nn

Layer = nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d | nn.Linear


def init_msra(*layers: nn.Module, mode: Literal["fan_in", "fan_out"] = "fan_out") -> None:
    """Normal weights that keep the variance of gradients through ReLUs (1502.01852)."""
    for layer in layers:
        weight = _zero_bias(layer).weight
        if not weight.is_meta:
            nn.init.kaiming_normal_(weight, mode=mode, nonlinearity="relu")


def init_xavier(*layers: nn.Module) -> None:
    """Uniform weights as in Caffe2's XavierFill: variance one over the fan-in."""
    for layer in layers:
        nn.init.kaiming_uniform_(_zero_bias(layer).weight, a=1)


def init_normal(*layers: nn.Module, std: float) -> None:
    """Normal weights of a given standard deviation, for predictors."""
    for layer in layers:
        weight = _zero_bias(layer).weight
        if not weight.is_meta:
            nn.init.normal_(weight, std=std)


def _zero_bias(layer: nn.Module) -> Layer:
    assert isinstance(layer, Layer), type(layer)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
