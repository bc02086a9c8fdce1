"""What differs between families of models when their settings are translated for detectron2."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pointrend_repro.engines.detectron2.keys import Key


@dataclass(frozen=True)
class Translation:
    """One family's translation. Functions of problems return what detectron2 does not support.

    Attributes:
        model_keys: by (model settings, number of classes).
        model_problems: by (model settings).
        input_keys: by (input settings).
        optimizer_problems: by (optimizer settings).
        norm_decay: the weight decay of normalisation, and the setting that it comes from, by
            (optimizer settings).
        as_tested: the model settings as changed by inference settings, by (both).
        inference_keys: by (model settings, inference settings).
        inference_problems: by the same.
    """

    model_keys: Callable[[Any, int], list[Key]]
    model_problems: Callable[[Any], list[str]]
    input_keys: Callable[[Any], list[Key]]
    optimizer_problems: Callable[[Any], list[str]]
    norm_decay: Callable[[Any], tuple[float, str]]
    as_tested: Callable[[Any, Any], Any]
    inference_keys: Callable[[Any, Any], list[Key]]
    inference_problems: Callable[[Any, Any], list[str]]
