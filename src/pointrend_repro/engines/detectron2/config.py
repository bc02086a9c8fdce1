"""Our settings in the words of detectron2's configuration, each key with its source.

Everything here is a pure function of settings: a dry run translates, and refuses, without
detectron2. A key that is not named keeps detectron2's default (config/defaults.py and
projects/PointRend/point_rend/config.py, commit 02b5c4e2). What detectron2 cannot do is refused: a
number must not carry a setting that it was not made with.
"""

from collections.abc import Sequence

from pointrend_repro.base.errors import UserError
from pointrend_repro.engines.detectron2.detector_keys import (
    detector_inference_keys,
    detector_inference_problems,
    detector_keys,
    detector_problems,
)
from pointrend_repro.engines.detectron2.keys import Key
from pointrend_repro.engines.detectron2.semantic_keys import (
    semantic_inference_keys,
    semantic_inference_problems,
    semantic_input_keys,
    semantic_keys,
    semantic_problems,
)
from pointrend_repro.engines.detectron2.training_keys import (
    inference_input_keys,
    solver_keys,
    training_input_keys,
    training_problems,
)
from pointrend_repro.settings.at_test import detector_at_test, input_at_test
from pointrend_repro.settings.instances import InferenceSettings, InputSettings, ModelSettings
from pointrend_repro.settings.semantic import (
    AnyInferenceSettings,
    AnyTrainingSettings,
    SemanticInferenceSettings,
    SemanticModelSettings,
    SemanticTrainingSettings,
)

# Of semantic models' scaled images before they are cropped: ours have no limit.
_NO_LIMIT_PX = 2**31


def training_config(settings: AnyTrainingSettings, *, num_classes: int, seed: int) -> list[Key]:
    """Translate one training.

    Raises:
        UserError: detectron2 cannot do what the settings say; the message names all of it.
    """
    if isinstance(settings, SemanticTrainingSettings):
        _require_none([*semantic_problems(settings.model), *training_problems(settings)])
        own = [
            *semantic_keys(settings.model, num_classes),
            *training_input_keys(settings.input, _NO_LIMIT_PX),
            *semantic_input_keys(settings.input),
        ]
    else:
        _require_none([*detector_problems(settings.model), *training_problems(settings)])
        own = [
            *detector_keys(settings.model, num_classes),
            *training_input_keys(settings.input, settings.input.max_long_edge_px),
        ]
    return _last_of_each([*own, *solver_keys(settings), Key("SEED", seed, "the trial")])


def inference_config(
    model: ModelSettings | SemanticModelSettings,
    size: InputSettings,
    inference: AnyInferenceSettings,
    *,
    num_classes: int,
) -> list[Key]:
    """Translate one prediction with a trained model.

    Raises:
        UserError: detectron2 cannot do what the settings say; the message names all of it.
    """
    keys: list[Key]
    if isinstance(model, SemanticModelSettings):
        assert isinstance(inference, SemanticInferenceSettings)
        _require_none([*semantic_problems(model), *semantic_inference_problems(inference)])
        keys = [*semantic_keys(model, num_classes), *semantic_inference_keys(model, inference)]
    else:
        assert isinstance(inference, InferenceSettings)
        head, detector = model.mask_head, detector_at_test(model.detector, inference.test)
        model = model.model_copy(update={"detector": detector})
        _require_none([*detector_problems(model), *detector_inference_problems(head, inference)])
        keys = [*detector_keys(model, num_classes), *detector_inference_keys(head, inference)]
    return _last_of_each([*keys, *inference_input_keys(input_at_test(size, inference.test))])


def _require_none(problems: Sequence[str]) -> None:
    if problems:
        raise UserError(f"engine detectron2 has no {'; no '.join(problems)}")


def _last_of_each(keys: list[Key]) -> list[Key]:
    """What a head sets wins over what the detector has set before it."""
    return list({key.name: key for key in keys}.values())
