"""Whether a variant's engine supports its settings, checked before anything is trained."""

from pointrend_repro.base.errors import UserError
from pointrend_repro.settings.of_family import AnyInferenceSettings, AnyTrainingSettings
from pointrend_repro.settings.schedule import OWN_ENGINE


def require_engine_can(
    settings: AnyTrainingSettings, inference: AnyInferenceSettings, *, where: str
) -> None:
    """Refuse settings that the engine does not support; the engine need not be installed.

    Args:
        where: the file to name in an error.

    Raises:
        UserError: it does not; the message names everything unsupported.
    """
    if settings.engine != "detectron2":
        return
    from pointrend_repro.engines.detectron2.config import inference_config, training_config

    try:
        training_config(settings, num_classes=1, seed=0)
        inference_config(settings.model, settings.input, inference, num_classes=1)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def require_engine_can_start(settings: AnyTrainingSettings, *, where: str) -> None:
    """Refuse what the engine of a training cannot build on.

    Args:
        where: the file to name in an error.

    Raises:
        UserError: another engine than ours would have to start from other weights, or be given
            boxes.
    """
    if settings.start_from is not None and settings.engine != OWN_ENGINE:
        raise UserError(f"{where}: engine {settings.engine} cannot start_from other weights")
    if settings.proposals_from is not None and settings.engine != OWN_ENGINE:
        raise UserError(f"{where}: engine {settings.engine} reads no proposals_from elsewhere")
