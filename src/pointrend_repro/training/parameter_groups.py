"""What an optimizer trains: groups of parameters, each with its weight decay and `lr_factor`."""

from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pointrend_repro.settings.schedule import OptimizerSettings
from pointrend_repro.settings.semantic import SemanticOptimizerSettings


def alike(model: nn.Module, optimizer: OptimizerSettings) -> list[dict[str, Any]]:
    """Return all trainable parameters as one group."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [{"params": parameters, "lr_factor": 1.0, "weight_decay": optimizer.weight_decay}]


def with_faster_decoder(
    model: nn.Module, optimizer: SemanticOptimizerSettings
) -> list[dict[str, Any]]:
    """Return groups that give `model.decoder` its own rate, and normalisation its own decay.

    The decoder holds ASPP and the prediction convolution (supplement, section 2).
    """
    norms = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, _BatchNorm | nn.GroupNorm)
        for parameter in module.parameters()
    }
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            factor = optimizer.decoder_lr_factor if name.startswith("decoder.") else 1.0
            is_norm = id(parameter) in norms
            decay = optimizer.norm_weight_decay if is_norm else optimizer.weight_decay
            groups.setdefault((factor, decay), []).append(parameter)
    return [
        {"params": parameters, "lr_factor": factor, "weight_decay": decay}
        for (factor, decay), parameters in groups.items()
    ]
