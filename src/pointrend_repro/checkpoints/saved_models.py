"""Trained models on disk: weights as safetensors, with everything needed to use them."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import safetensors
import safetensors.torch
import torch

from pointrend_repro.base.errors import UserError, printable_line
from pointrend_repro.base.files import atomic_path
from pointrend_repro.base.origins import METADATA_KEY
from pointrend_repro.checkpoints.description import (
    ModelDescription,
    plugin_of,
    read_description,
    require_configured,
    require_own_head,
)
from pointrend_repro.checkpoints.kinds import require_weights
from pointrend_repro.data.keypoints import KeypointDefinition
from pointrend_repro.declarations.family import family_of
from pointrend_repro.settings.at_test import SizeAtTest, input_at_test, on_top
from pointrend_repro.settings.of_family import AnyInferenceSettings, AnyModelSettings
from pointrend_repro.settings.schedule import InputSettings

if TYPE_CHECKING:
    from pointrend_repro.settings.instances import DetectorSettings

Network = TypeVar("Network", bound=Any)


@dataclass(frozen=True)
class SavedModel(Generic[Network]):
    """A trained model and what it was trained for.

    Attributes:
        categories: the data set's (id, name), in the order of the model's classes.
        keypoints: what the keypoints are that it finds; None: it finds none.
        test: what it is tested with where an inference setting asks for nothing else; None: as
            its own settings and `input` say.
        inference: how it predicts where nobody says otherwise; None: as its family does.
    """

    model: Network
    input: InputSettings
    categories: list[tuple[int, str]]
    keypoints: KeypointDefinition | None = None
    test: SizeAtTest | None = None
    inference: AnyInferenceSettings | None = None

    @property
    def detector(self) -> "DetectorSettings | None":
        """How it was trained to choose its boxes; None: it is no detector."""
        found: DetectorSettings | None = getattr(self.model.settings, "detector", None)
        return found


def build_model(settings: AnyModelSettings, num_classes: int) -> Any:
    """Make the model that the settings describe, with random weights."""
    family = family_of(settings)
    return family.function(family.build)(settings, num_classes)


def as_tested(saved: SavedModel, test: SizeAtTest) -> SavedModel:
    """Set how a model is tested from now on where an inference setting asks for nothing else.

    The network itself is changed, not copied; the settings saved with it stay as trained.
    """
    test_with = getattr(saved.model, "test_with", None)
    if test_with is not None:
        test_with(test)
    test = test if saved.test is None else on_top(saved.test, test)
    return replace(saved, input=input_at_test(saved.input, test), test=test)


def save_model(path: Path, saved: SavedModel) -> None:
    """Write a model to one file; all else that is saved is stored in its metadata."""
    metadata = {
        "model": saved.model.settings.model_dump(mode="json"),
        # A family's own input settings are only for training.
        "input": saved.input.model_dump(mode="json", include=set(InputSettings.model_fields)),
        "categories": saved.categories,
    }
    if saved.keypoints is not None:
        metadata["keypoints"] = asdict(saved.keypoints)
    if saved.inference is not None:
        metadata["inference"] = saved.inference.model_dump(mode="json")
    tensors = {k: v.detach().cpu().contiguous() for k, v in saved.model.state_dict().items()}
    with atomic_path(path) as part:
        safetensors.torch.save_file(tensors, part, {METADATA_KEY: json.dumps(metadata)})


def load_saved_model(
    path: Path,
    *,
    configured: AnyModelSettings | None = None,
    head: str | None = None,
    family: str | None = None,
) -> SavedModel:
    """Read a model that `save_model` wrote, ready for inference on the CPU.

    Args:
        configured: the model's settings from a variant and a preset, which must equal the file's.
            A plug-in head among them may be imported.
        head: without `configured`, the plug-in head that may be imported, as `mask_head.head` of a
            variant names it. What the file itself says is not enough.
        family: without `configured`, the family from outside this package that may be imported.

    Raises:
        UserError: the file is missing or damaged, was not written by `save_model`, is of another
            model than configured or of a plug-in that was not named, or has invalid weights.
    """
    described = read_description(path, family=configured.family if configured else family)
    if configured is not None:
        require_configured(path, described.model, configured)
        head = plugin_of(configured)
    return load_described_model(path, described, head=head)


def load_described_model(
    path: Path, described: ModelDescription, *, head: str | None = None
) -> SavedModel:
    """Build the model that `read_description` found in a file, and load its weights.

    Raises:
        UserError: as for `load_saved_model`.
    """
    require_own_head(path, described.model, head)
    try:
        if head is None:
            _require_shapes(path, described)
        model = build_model(described.model, num_classes=len(described.categories))
        tensors = safetensors.torch.load_file(path)
        require_weights(path, tensors)
        model.load_state_dict(tensors)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read: {printable_line(error)}; train it again"
        ) from None
    except (RuntimeError, TypeError) as error:
        raise UserError(f"{path}: does not fit its settings: {printable_line(error)}") from None
    return SavedModel(
        model.eval(),
        described.input,
        described.categories,
        keypoints=described.keypoints,
        inference=described.inference,
    )


def _require_shapes(path: Path, described: ModelDescription) -> None:
    """Compare the file's shapes with a model without memory: its settings may name any size.

    Raises:
        RuntimeError: they differ.
    """
    with safetensors.safe_open(path, "pt") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    with torch.device("meta"):
        model = build_model(described.model, num_classes=len(described.categories))
        model.load_state_dict({name: torch.empty(shape) for name, shape in shapes.items()})
