"""What a model consists of that `load_model` knows by name."""

from dataclasses import dataclass, field
from typing import Any

from pointrend_repro.data.keypoints import KeypointDefinition
from pointrend_repro.settings.instances import InferenceSettings
from pointrend_repro.settings.of_family import AnyInferenceSettings
from pointrend_repro.settings.schedule import InputSettings

Categories = list[tuple[int, str]]


@dataclass(frozen=True)
class KnownModel:
    """A published model: what it consists of, its input, and what its classes mean.

    `categories` are the data set's (id, name), in the order of the model's classes; `keypoints` are
    those of their objects, if the model finds any.
    """

    model: Any
    input: InputSettings
    categories: Categories
    inference: AnyInferenceSettings = field(default_factory=InferenceSettings)
    keypoints: KeypointDefinition | None = None
