"""The families that detectron2 can train, as `Family.engines` names them."""

from typing import Any

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
from pointrend_repro.engines.detectron2.training_keys import training_input_keys
from pointrend_repro.engines.detectron2.translation import Translation
from pointrend_repro.settings.at_test import detector_at_test
from pointrend_repro.settings.instances import InferenceSettings, ModelSettings
from pointrend_repro.settings.semantic import SemanticInputSettings, SemanticOptimizerSettings

# The limit for semantic models' scaled images before they are cropped: ours have none.
_NO_LIMIT_PX = 2**31


def _detector_as_tested(model: ModelSettings, inference: InferenceSettings) -> ModelSettings:
    detector = detector_at_test(model.detector, inference.test)
    return model.model_copy(update={"detector": detector})


def _label_map_input(settings: SemanticInputSettings) -> list[Key]:
    return [*training_input_keys(settings, _NO_LIMIT_PX), *semantic_input_keys(settings)]


def _label_map_problems(settings: SemanticOptimizerSettings) -> list[str]:
    factor = settings.decoder_lr_factor
    return [f"optimizer.decoder_lr_factor {factor:g} (1)"] if factor != 1 else []


def _no_problems(_: Any) -> list[str]:
    return []


DETECTORS = Translation(
    model_keys=detector_keys,
    model_problems=detector_problems,
    input_keys=lambda settings: training_input_keys(settings, settings.max_long_edge_px),
    optimizer_problems=_no_problems,
    # Instance models decay all parameters equally; detectron2's default for normalisation is 0, but
    # a detector with frozen BN has none to train.
    norm_decay=lambda settings: (settings.weight_decay, "optimizer.weight_decay"),
    as_tested=_detector_as_tested,
    inference_keys=lambda model, asked: detector_inference_keys(model.mask_head, asked),
    inference_problems=lambda model, asked: detector_inference_problems(model.mask_head, asked),
)

LABEL_MAPS = Translation(
    model_keys=semantic_keys,
    model_problems=semantic_problems,
    input_keys=_label_map_input,
    optimizer_problems=_label_map_problems,
    norm_decay=lambda settings: (settings.norm_weight_decay, "optimizer.norm_weight_decay"),
    as_tested=lambda model, _: model,
    inference_keys=semantic_inference_keys,
    inference_problems=lambda _, asked: semantic_inference_problems(asked),
)
