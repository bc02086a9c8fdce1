"""Our settings translated to detectron2's configuration, each key with its source.

Everything here is a pure function of settings: a dry run translates, and refuses, without
detectron2. Keys not named here keep detectron2's default (config/defaults.py and
projects/PointRend/point_rend/config.py, commit 02b5c4e2). What detectron2 cannot do is refused: a
number must not be recorded with a setting that it was not made with.
"""

from collections.abc import Sequence

from pointrend_repro.base.errors import UserError
from pointrend_repro.declarations.family import OfFamily, family_of
from pointrend_repro.engines.detectron2.keys import Key
from pointrend_repro.engines.detectron2.training_keys import (
    inference_input_keys,
    solver_keys,
    training_problems,
)
from pointrend_repro.engines.detectron2.translation import Translation
from pointrend_repro.settings.at_test import input_at_test
from pointrend_repro.settings.of_family import (
    AnyInferenceSettings,
    AnyModelSettings,
    AnyTrainingSettings,
)
from pointrend_repro.settings.schedule import InputSettings

ENGINE = "detectron2"


def training_config(settings: AnyTrainingSettings, *, num_classes: int, seed: int) -> list[Key]:
    """Translate one training.

    Raises:
        UserError: detectron2 does not support the settings; the message names all such settings.
    """
    words = _words(settings)
    _require_none(
        [
            *words.model_problems(settings.model),
            *training_problems(settings, words.optimizer_problems(settings.optimizer)),
        ]
    )
    own = [*words.model_keys(settings.model, num_classes), *words.input_keys(settings.input)]
    solver = solver_keys(settings, words.norm_decay(settings.optimizer))
    return _last_of_each([*own, *solver, Key("SEED", seed, "the trial")])


def inference_config(
    model: AnyModelSettings,
    size: InputSettings,
    inference: AnyInferenceSettings,
    *,
    num_classes: int,
) -> list[Key]:
    """Translate one prediction with a trained model.

    Raises:
        UserError: detectron2 does not support the settings; the message names all such settings.
    """
    words = _words(model)
    tested = words.as_tested(model, inference)
    _require_none([*words.model_problems(tested), *words.inference_problems(tested, inference)])
    keys = [*words.model_keys(tested, num_classes), *words.inference_keys(tested, inference)]
    return _last_of_each([*keys, *inference_input_keys(input_at_test(size, inference.test))])


def _words(settings: OfFamily) -> Translation:
    family = family_of(settings)
    if ENGINE not in family.engines:
        raise UserError(f"engine {ENGINE} has no models of family {family.name}")
    words: Translation = family.function(family.engines[ENGINE])
    return words


def _require_none(problems: Sequence[str]) -> None:
    if problems:
        raise UserError(f"engine detectron2 has no {'; no '.join(problems)}")


def _last_of_each(keys: list[Key]) -> list[Key]:
    """Keys set by a head override those set by the detector before it."""
    return list({key.name: key for key in keys}.values())
