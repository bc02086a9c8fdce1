"""Chooses what trains and predicts; an engine is imported only when it is chosen.

So a change to one engine does not affect the other's records (`base/own_code.py`).
"""

from collections.abc import Callable
from typing import Any

from pointrend_repro.declarations.family import family_of
from pointrend_repro.settings.of_family import AnyInferenceSettings
from pointrend_repro.settings.schedule import OWN_ENGINE, Engine

# Its arguments are those of `Family.predict`.
Predict = Callable[..., None]


def trainer_of(engine: Engine) -> Callable[..., Any]:
    """Return the engine's `train`, whose arguments are those of `training.loop.train`.

    Raises:
        UserError: the engine is not installed.
    """
    if engine == "detectron2":
        from pointrend_repro.engines.detectron2.install import require_detectron2

        require_detectron2()
        from pointrend_repro.engines.detectron2.train import train as train_with_detectron2

        return train_with_detectron2
    from pointrend_repro.training.loop import train

    return train


def predictor_of(engine: Engine, settings: AnyInferenceSettings) -> Predict:
    """Return the engine's `predict`, whose arguments are those of `Family.predict`.

    Raises:
        UserError: the engine is not installed.
    """
    if engine == "detectron2":
        from pointrend_repro.engines.detectron2.install import require_detectron2

        require_detectron2()
        from pointrend_repro.engines.detectron2.predict import predict as predict_with_detectron2

        return predict_with_detectron2
    family = family_of(settings)
    found: Predict = family.function(family.predict)
    return found


def takes_work(engine: Engine, settings: AnyInferenceSettings) -> bool:
    """Whether the engine's `predict` takes `work`; of this package's, its family says so."""
    return engine != OWN_ENGINE or family_of(settings).takes_work
