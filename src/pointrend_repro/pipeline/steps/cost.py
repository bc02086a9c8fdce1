"""What is counted, and for which nothing is trained."""

from pathlib import Path
from typing import Any

from pointrend_repro.base.provenance import start_record
from pointrend_repro.config.metrics import KEYS
from pointrend_repro.pipeline.steps.devices import device_name
from pointrend_repro.pipeline.steps.metric_files import write_result
from pointrend_repro.settings.instances import InferenceSettings, ModelSettings


def run_cost(
    experiment: dict[str, Any],
    model: ModelSettings,
    inference: InferenceSettings,
    *,
    output: Path,
) -> None:
    """Count the operations of a variant's mask head and write them with their origin."""
    from pointrend_repro.base.torchvision_import import import_torchvision

    import_torchvision()
    from pointrend_repro.evaluation.cost import mask_head_cost

    settings = {
        "mask_head": model.mask_head.model_dump(mode="json"),
        "fpn_channels": model.backbone.fpn_channels,
        "inference": inference.model_dump(mode="json"),
    }
    finish = start_record(settings=settings, seed=None, device=device_name("cpu"))
    values = mask_head_cost(model, inference)
    units = KEYS["mask_head_cost"]
    result = {"metric": "mask_head_cost", "values": values, "units": units}
    write_result(output, result | {"origin": experiment}, finish())
