"""What a training begins with: the weights of another one, or of a file.

Loaded once, when there is no checkpoint yet. What was loaded is written beside the checkpoints, so
that the record of the training tells it although the source may be gone by then.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pointrend_repro.base.digests import content_digest
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json, write_json
from pointrend_repro.base.origins import origin_path, require_as_recorded, require_model_of
from pointrend_repro.checkpoints.parts import load_parts, shared_with
from pointrend_repro.settings.start_from import ResolvedStart, lies_in

_NAME = "checkpoints/start.json"
_log = logging.getLogger(__name__)


def start_model(
    model: nn.Module,
    start: ResolvedStart,
    given: Path | None,
    classes: Sequence[str],
    folder: Path | None = None,
) -> None:
    """Load what a training begins with into its model.

    Args:
        given: the model of the training that `start` names, if it names one.
        classes: names of the model's classes.
        folder: of the training, where `note_start` was; added and logged are the layers that begin
            anew, and what is assumed of the file's backbone since it does not tell.

    Raises:
        UserError: see `checkpoints.parts.load_parts`.
    """
    backbone = getattr(model.settings, "backbone", None)
    path = _file(start, given)
    found = load_parts(model, backbone, path, start, classes)
    if folder is None:
        return
    noted: dict[str, Any] = {}
    if found.layers:
        _log.info("%s: begins at random, not from this file: %s", path, ", ".join(found.layers))
        noted["layers_at_random"] = found.layers
    if found.assumed:
        _log.warning(
            "%s: does not tell all that its backbone was trained with; assumed, as in this "
            "variant: %s",
            path,
            "; ".join(f"{key} {value}" for key, value in found.assumed.items()),
        )
        noted["assumed"] = found.assumed
    if noted:
        write_json(folder / _NAME, read_json(folder / _NAME) | noted)


def note_start(
    folder: Path, start: ResolvedStart, given: Path | None, classes: Sequence[str]
) -> None:
    """Check the file to start from against its record, and write both down in a training's folder.

    Arguments are those of `start_model`.

    Raises:
        DamagedError: the model is not what its record describes.
        UserError: it is not there, or of another training.
    """
    path = _file(start, given)
    noted: dict[str, Any] = {"file": str(path)}
    if start.variant is not None:
        require_model_of(path, {"dataset": start.dataset, "variant": start.variant})
    if start.variant is not None or origin_path(path).is_file():
        origin, digest = require_as_recorded(path, "train")
        noted |= {"input_digest": digest, "origin": origin}
    else:
        noted["input_digest"] = content_digest(path)
    if start.match_classes or start.what_fits:
        taken = shared_with(path, classes, at_least_one=start.match_classes)
        new = [name for name in classes if name not in taken]
        noted["classes"] = {"taken": taken, "new": new}
    write_json(folder / _NAME, noted)


def noted_start(folder: Path) -> dict[str, Any] | None:
    """Return what `note_start` wrote in a training's folder; None if it is not there any more."""
    try:
        noted = read_json(folder / _NAME)
    except UserError:
        return None
    return noted if isinstance(noted, dict) else None


def freeze(model: nn.Module, start: ResolvedStart | None) -> None:
    """Take what is frozen out of the training, with the statistics of its batch normalisation.

    Raises:
        UserError: the model has no such part, or chooses itself what it trains when.
    """
    if start is None or not start.frozen:
        return
    head = getattr(model.settings, "mask_head", None)
    if getattr(head, "coarse_stage_share", None) is not None:
        raise UserError("start_from.frozen: a head with coarse_stage_share freezes parts by itself")
    for part in start.frozen:
        frozen = [p for name, p in model.named_parameters() if lies_in(name, (part,))]
        if not frozen:
            raise UserError(f"start_from.frozen: no {part!r} in the model")
        for parameter in frozen:
            parameter.requires_grad_(False)
        for name, module in model.named_modules():
            if lies_in(name, (part,)) and isinstance(module, _BatchNorm):
                module.eval()


def _file(start: ResolvedStart, given: Path | None) -> Path:
    if start.weights is not None:
        return Path(start.weights)
    if given is None:
        raise UserError(
            f"this training starts from that of {start.variant} on {start.dataset}; give the model "
            "of its same trial by --start-from"
        )
    return given
