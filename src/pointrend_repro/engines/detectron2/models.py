"""detectron2's models from translated settings, and conversion of weights in both directions."""

from collections.abc import Iterable
from typing import Any

from detectron2.config import CfgNode, get_cfg
from detectron2.modeling import build_model as build_theirs
from detectron2.projects.point_rend import add_pointrend_config
from torch import nn

from pointrend_repro.checkpoints.detectron2_names import from_detectron2, to_detectron2
from pointrend_repro.checkpoints.saved_models import build_model
from pointrend_repro.engines.detectron2 import own_heads  # noqa: F401  # registers names
from pointrend_repro.engines.detectron2.keys import Key
from pointrend_repro.settings.of_family import AnyModelSettings

# Batch counters, which neither project's inference reads.
_OPTIONAL = "num_batches_tracked"


def make_config(keys: Iterable[Key], *, device: str) -> CfgNode:
    """Return detectron2's defaults, including PointRend's, overridden by our keys.

    Raises:
        KeyError: detectron2 has no such key.
    """
    cfg = get_cfg()
    add_pointrend_config(cfg)
    cfg.MODEL.ROI_MASK_HEAD.OWN_SETTINGS = ""  # for our own heads
    cfg.MODEL.ROI_MASK_HEAD.OWN_INFERENCE = ""
    for key in keys:
        _set(cfg, key.name, key.value)
    cfg.MODEL.DEVICE = device
    cfg.DATASETS.TRAIN = cfg.DATASETS.TEST = ()  # data sets are passed, not named
    cfg.freeze()
    return cfg


def build_with_weights(cfg: CfgNode, ours: nn.Module) -> nn.Module:
    """Make detectron2's model with our model's weights, for inference."""
    theirs: nn.Module = build_theirs(cfg)
    load_ours(theirs, ours)
    return theirs.eval()


def load_ours(theirs: nn.Module, ours: nn.Module) -> None:
    """Load our model's weights into detectron2's."""
    _load(theirs, to_detectron2(ours.state_dict()))


def our_model(settings: AnyModelSettings, num_classes: int, theirs: nn.Module) -> nn.Module:
    """Make our model with the weights of detectron2's."""
    ours: nn.Module = build_model(settings, num_classes)
    _load(ours, from_detectron2(theirs.state_dict()))
    return ours


def _set(cfg: CfgNode, name: str, value: Any) -> None:
    *path, last = name.split(".")
    node = cfg
    for part in path:
        node = node[part]
    if last not in node:
        raise KeyError(f"detectron2 has no key {name}")
    node[last] = value


def _load(model: nn.Module, tensors: dict[str, Any]) -> None:
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    wrong = [name for name in [*missing, *unexpected] if not name.endswith(_OPTIONAL)]
    if wrong:  # the translation and the names disagree: our bug, not the user's
        raise RuntimeError(f"weights do not fit between detectron2 and us: {wrong[:5]}")
