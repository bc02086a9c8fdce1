"""Counts and measurements that need no training."""

from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from pointrend_repro.base.provenance import start_record
from pointrend_repro.declarations.finding import load_function
from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.evaluation import require_declared_keys
from pointrend_repro.pipeline.steps.devices import device_name
from pointrend_repro.pipeline.steps.metric_files import write_result
from pointrend_repro.settings.of_family import AnyInferenceSettings, AnyModelSettings
from pointrend_repro.settings.schedule import InputSettings


def run_cost(
    experiment: dict[str, Any],
    name: str,
    model: AnyModelSettings,
    inference: AnyInferenceSettings,
    *,
    output: Path,
    size: InputSettings | None = None,
    device: str = "cpu",
) -> None:
    """Count or measure something in a variant's models and write it with its origin.

    Args:
        name: of the metric, whose function is called with `model` and `inference`.
        size: of images, for a metric that is measured; its function takes it and `device`, too.
    """
    from pointrend_repro.base.torchvision_import import import_torchvision

    import_torchvision()
    metric = METRICS.find(name)
    values = {"model": model.model_dump(mode="json")}
    settings = {
        path.rpartition(".")[2]: reduce(getitem, path.split("."), values["model"])
        for path in metric.counted_settings
    } or values
    settings["inference"] = inference.model_dump(mode="json")
    options = {}
    if size is not None:
        settings["input"] = size.model_dump(mode="json")
        options = {"size": size, "device": device}
    finish = start_record(settings=settings, seed=None, device=device_name(device))
    counts = load_function(metric.score)(model, inference, **options)
    require_declared_keys(metric, counts)
    result = {"metric": name, "values": counts, "units": metric.other_units}
    record = finish()
    record["versions"] |= metric.outside_files()
    write_result(output, result | {"origin": experiment}, record)
