"""What an optimizer trains: groups of parameters, each with its weight decay and `lr_factor`."""

from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.ops import FrozenBatchNorm2d

from pointrend_repro.settings.schedule import OptimizerSettings
from pointrend_repro.settings.semantic import SemanticOptimizerSettings

_NORMS = (_BatchNorm, nn.GroupNorm, FrozenBatchNorm2d)


def alike(model: nn.Module, optimizer: OptimizerSettings) -> list[dict[str, Any]]:
    """Return all trainable parameters as one group, or with the biases as a second one."""
    return _groups(model, optimizer, norm_decay=optimizer.weight_decay)


def with_faster_decoder(
    model: nn.Module, optimizer: SemanticOptimizerSettings
) -> list[dict[str, Any]]:
    """Return groups that give `model.decoder` its own rate, and normalisation its own decay.

    The decoder holds ASPP and the prediction convolution (supplement, section 2).
    """
    return _groups(
        model,
        optimizer,
        norm_decay=optimizer.norm_weight_decay,
        decoder_factor=optimizer.decoder_lr_factor,
    )


def _groups(
    model: nn.Module,
    optimizer: OptimizerSettings,
    *,
    norm_decay: float,
    decoder_factor: float = 1.0,
) -> list[dict[str, Any]]:
    """Group by rate and decay. The shifts of normalisation are no biases."""
    norms = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, _NORMS)
        for parameter in module.parameters()
    }
    decay, bias_decay = optimizer.weight_decay, optimizer.bias_weight_decay
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        kind = (1.0, decay)
        if id(parameter) in norms:
            kind = (1.0, norm_decay)
        elif name.endswith(".bias"):
            kind = (optimizer.bias_lr_factor, decay if bias_decay is None else bias_decay)
        factor = decoder_factor if name.startswith("decoder.") else 1.0
        if parameter.requires_grad:
            groups.setdefault((factor * kind[0], kind[1]), []).append(parameter)
    return [
        {"params": parameters, "lr_factor": factor, "weight_decay": decay}
        for (factor, decay), parameters in groups.items()
    ]
