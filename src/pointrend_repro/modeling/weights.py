"""Trained models on disk: weights as safetensors, with all that is needed to use them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import safetensors
import safetensors.torch
from pydantic import ValidationError

from pointrend_repro.errors import UserError
from pointrend_repro.files import atomic_path
from pointrend_repro.json_text import parse_json
from pointrend_repro.modeling.detector import MaskRCNN
from pointrend_repro.modeling.semantic.model import SemanticModel
from pointrend_repro.semantic_settings import SemanticModelSettings
from pointrend_repro.settings import InputSettings, ModelSettings

Network = TypeVar("Network", bound=MaskRCNN | SemanticModel)

_METADATA_KEY = "pointrend_repro"


@dataclass(frozen=True)
class SavedModel(Generic[Network]):
    """A trained model and what it was trained for.

    `categories` are the data set's (id, name), in the order of the model's classes.
    """

    model: Network
    input: InputSettings
    categories: list[tuple[int, str]]


def build_model(
    settings: ModelSettings | SemanticModelSettings, num_classes: int
) -> MaskRCNN | SemanticModel:
    """Make the model of some settings, with random weights."""
    if isinstance(settings, SemanticModelSettings):
        return SemanticModel(settings, num_classes)
    return MaskRCNN(settings, num_classes)


def save_model(path: Path, saved: SavedModel) -> None:
    """Write a model to one file; settings and categories travel in its metadata."""
    metadata = {
        "model": saved.model.settings.model_dump(mode="json"),
        "input": saved.input.model_dump(mode="json"),
        "categories": saved.categories,
    }
    tensors = {k: v.detach().cpu().contiguous() for k, v in saved.model.state_dict().items()}
    with atomic_path(path) as part:
        safetensors.torch.save_file(tensors, part, {_METADATA_KEY: json.dumps(metadata)})


def is_saved_model(path: Path) -> bool:
    """Return whether a file was written by `save_model`: other tools write safetensors too."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            return _METADATA_KEY in (file.metadata() or {})
    except (safetensors.SafetensorError, OSError):
        return False


def load_saved_model(path: Path) -> SavedModel:
    """Read a model that `save_model` wrote, ready for inference on the CPU.

    Raises:
        UserError: the file is missing or damaged, or was not written by `save_model`.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; train the model first")
    try:
        with safetensors.safe_open(path, "pt") as file:
            text = (file.metadata() or {})[_METADATA_KEY]
        metadata = parse_json(text)
        is_semantic = "decoder" in metadata["model"]
        schema = SemanticModelSettings if is_semantic else ModelSettings
        settings = schema.model_validate(metadata["model"])
        model_input = InputSettings.model_validate(metadata["input"])
        categories = [(int(id_), str(name)) for id_, name in metadata["categories"]]
        model = build_model(settings, num_classes=len(categories))
        model.load_state_dict(safetensors.torch.load_file(path))
    except (safetensors.SafetensorError, ValidationError, KeyError, ValueError) as error:
        raise UserError(
            f"{path}: not a model of this project ({error!r}); train it again"
        ) from None
    except RuntimeError as error:  # torch lists missing, unexpected and misshapen keys
        raise UserError(
            f"{path}: does not fit its settings: {' '.join(str(error).split())}"
        ) from None
    return SavedModel(model.eval(), model_input, categories)
