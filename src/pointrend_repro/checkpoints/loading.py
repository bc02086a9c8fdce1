"""From a file to a known model and back: `load_model` and `pointrend-repro convert`."""

import logging
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import atomic_path, require_other
from pointrend_repro.base.origins import require_as_recorded_if_known
from pointrend_repro.checkpoints.description import (
    is_saved_model,
    read_description,
)
from pointrend_repro.checkpoints.detectron2_files import (
    KEY,
    to_configure,
    what_it_lacks,
    what_no_tensor_tells,
)
from pointrend_repro.checkpoints.detectron2_names import to_detectron2
from pointrend_repro.checkpoints.fit import (
    compare_shapes,
    known_shapes,
    looks_like,
    shapes_of,
)
from pointrend_repro.checkpoints.kinds import require_weights
from pointrend_repro.checkpoints.known_models import KnownModel, known_model
from pointrend_repro.checkpoints.mmdetection1_names import has_unread_heads
from pointrend_repro.checkpoints.reading import Checkpoint, read_checkpoint
from pointrend_repro.checkpoints.saved_models import (
    SavedModel,
    build_model,
    load_described_model,
    load_saved_model,
    save_model,
)
from pointrend_repro.declarations.family import family_of
from pointrend_repro.settings.of_family import AnyModelSettings

_log = logging.getLogger(__name__)


def new_model(name: str) -> SavedModel:
    """Make a known model with random weights.

    Raises:
        UserError: there is no such model.
    """
    known = known_model(name)
    return _known(known, build_model(known.model, num_classes=len(known.categories)))


def load_known_model(name: str, path: Path) -> SavedModel:
    """Load a known model's weights from a file of any kind, ready for inference on the CPU.

    A file of our own contains its settings and class names, and predicts as these say. Other files
    can only tell how pixels are fed and where the stride is, which then overrides the known
    model's. Where a file of mmdetection does not tell, a warning says what is assumed.

    Raises:
        UserError: there is no such model, or the file is faulty, does not match the training's
            record beside it, or does not fit; the message says what is missing, unexpected or
            misshapen, and which model the file resembles.
    """
    known = known_model(name)
    if path.suffix == ".safetensors":
        require_as_recorded_if_known(path)
    if path.suffix == ".safetensors" and is_saved_model(path):
        described = read_description(path)
        _check_same_architecture(name, path, described.model)
        saved = load_described_model(path, described)
        # Files that were converted before they told it; a model that was trained here may differ.
        # How pixels are fed and where the stride is may be the source's, as of other files below.
        alike = {"backbone": getattr(known.model, "backbone", None)}
        is_alike = (
            saved.inference is None and described.model.model_copy(update=alike) == known.model
        )
        return replace(saved, inference=known.inference) if is_alike else saved
    checkpoint = read_checkpoint(path)
    _check_fit(name, path, checkpoint)
    require_weights(path, checkpoint.tensors)
    settings = known.model.model_copy(update={"backbone": _backbone(known, checkpoint)})
    if checkpoint.untold:
        assumed = (f"{key} {getattr(settings.backbone, key)}" for key in checkpoint.untold)
        _log.warning(
            "%s: does not tell what its trunk was trained with; assumed, as in %s: %s",
            *(path, name, "; ".join(assumed)),
        )
    model = build_model(settings, num_classes=len(known.categories))
    model.load_state_dict(checkpoint.tensors)
    return _known(known, model)


def _known(known: KnownModel, model: Any) -> SavedModel:
    return SavedModel(
        model.eval(),
        known.input,
        known.categories,
        keypoints=known.keypoints,
        inference=known.inference,
    )


def load_own_file(path: Path, *, head: str | None = None, family: str | None = None) -> SavedModel:
    """Load a model that was trained here, with its own settings and classes.

    Args:
        head: the plug-in mask head that may be imported, if the model has one.
        family: the family from outside this package that may be imported, if it is of one.

    Raises:
        UserError: the file is missing or faulty, does not match the training's record beside it, or
            has a plug-in head that was not named.
    """
    require_as_recorded_if_known(path)
    return load_saved_model(path, head=head, family=family)


def convert(source: Path, target: Path, name: str) -> SavedModel:
    """Rewrite a checkpoint as `.safetensors` (ours) or `.pkl` (detectron2's), and return its model.

    A warning says what detectron2's configuration needs besides a `.pkl`.

    Raises:
        UserError: as for `load_known_model`, or `target` is the source, ends in neither, or in
            `.pkl` for a model that detectron2 does not have.
    """
    require_other(target, [source])
    writers = {".safetensors": save_model, ".pkl": save_detectron2}
    if target.suffix not in writers:
        raise UserError(f"{target}: the name to write must end in .safetensors or .pkl")
    if target.suffix == ".pkl":
        _require_model_of_detectron2(target, name, known_model(name).model)
    saved = load_known_model(name, source)
    if target.suffix == ".pkl":  # a file of ours may have more than the known model
        _require_model_of_detectron2(target, name, saved.model.settings)
    writers[target.suffix](target, saved)
    needed = to_configure(saved.model.settings.backbone) if target.suffix == ".pkl" else ""
    if needed:
        _log.warning(
            "%s: detectron2 takes from its configuration how pixels are fed and where the stride "
            "is; what its defaults do not say: %s",
            *(target, needed),
        )
    return saved


def save_detectron2(path: Path, saved: SavedModel) -> None:
    """Write a model as a pickle that detectron2's `DetectionCheckpointer` loads.

    The pixels' mean and standard deviation are included, as in detectron2's own early files; it
    uses those of its configuration and reports these as unused. What else the weights hang on is
    told beside them, for our own reader (`detectron2_files`).
    """
    backbone = saved.model.settings.backbone
    tensors = to_detectron2(saved.model.state_dict())
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
    for key, values in (("pixel_mean", backbone.pixel_mean), ("pixel_std", backbone.pixel_std)):
        arrays[key] = np.array(values, dtype=np.float32).reshape(3, 1, 1)
    # The names are exact, so detectron2 need not match them heuristically.
    content = {
        "model": arrays,
        "__author__": "pointrend-repro",
        "matching_heuristics": False,
        KEY: what_no_tensor_tells(backbone),
    }
    with atomic_path(path) as part, part.open("wb") as file:
        pickle.dump(content, file, protocol=4)


def _require_model_of_detectron2(target: Path, name: str, model: AnyModelSettings) -> None:
    if "detectron2" not in family_of(model).engines:
        raise UserError(f"{target}: detectron2 has no model like {name}; write a .safetensors")
    lacking = what_it_lacks(model)
    if lacking is not None:
        raise UserError(
            f"{target}: detectron2 has no model like {name}: no {lacking}; write a .safetensors"
        )


def _check_same_architecture(name: str, path: Path, settings: AnyModelSettings) -> None:
    """A file of ours fits its own settings; it only has to be the requested kind of model.

    It may be narrower, have other classes, or have the paper's value of a setting where the known
    model has detectron2's.
    """
    expected, found = (family_of(s).architecture(s) for s in (known_model(name).model, settings))
    if expected != found:
        raise UserError(
            f"{path}: holds {' with '.join(found)}, but {name} is {' with '.join(expected)}"
        )


def _check_fit(name: str, path: Path, checkpoint: Checkpoint) -> None:
    if checkpoint.source == "mmdetection1" and has_unread_heads(checkpoint.tensors):
        raise UserError(
            f"{path}: is a cascade or a SOLO of mmdetection 1.x, whose heads are not read "
            "(docs/weights.md); only start_from takes its backbone and rpn"
        )
    if checkpoint.source == "mmdetection1":
        raise UserError(
            f"{path}: is of mmdetection 1.x, whose boxes and RoIs lie elsewhere, so it would not "
            "find the same objects here (docs/weights.md); only start_from takes it"
        )
    if any(tensor.startswith("roi_head.semantic_") for tensor in checkpoint.tensors):
        raise UserError(
            f"{path}: is of an HTC with a semantic branch, which is not here, and without which "
            "its heads would see other features (docs/htc.md)"
        )
    if checkpoint.source != "model":
        raise UserError(
            f"{path}: is an ImageNet backbone without heads, not {name}; to train from it, name "
            "it as model.backbone.weights of a variant"
        )
    shapes = shapes_of(checkpoint.tensors)
    fit = compare_shapes(known_shapes(name), shapes)
    if fit.is_exact:
        return
    alike = looks_like(shapes)
    if alike is None:
        hint = "it looks like none of the known models"
    elif alike == name:
        hint = f"yet it looks most like {alike}: trained for other classes, or changed?"
    else:
        hint = f"it looks like {alike}"
    raise UserError(f"{path}: does not fit {name}: {fit}; {hint}")


def _backbone(known: KnownModel, checkpoint: Checkpoint) -> BaseModel:
    settings: BaseModel = known.model.backbone
    found = {"pixel_mean": checkpoint.pixel_mean, "pixel_std": checkpoint.pixel_std}
    update = {key: values for key, values in found.items() if values is not None}
    update |= checkpoint.backbone
    return type(settings).model_validate(settings.model_dump() | update)
