"""Predictions of a method that is not trained: from the images alone."""

from pathlib import Path
from typing import Any

from pointrend_repro.base.files import remove_leftovers
from pointrend_repro.base.origins import origin_written_last
from pointrend_repro.base.provenance import cpu_name, start_record
from pointrend_repro.data.paths import DataPaths
from pointrend_repro.declarations.family import family_of
from pointrend_repro.pipeline.steps.prediction import of_split, read_split
from pointrend_repro.settings.of_family import AnyInferenceSettings
from pointrend_repro.settings.values import Split


def run_untrained(
    experiment: dict[str, Any],
    settings: AnyInferenceSettings,
    data: DataPaths,
    *,
    output: Path,
    processes: int,
    split: Split = "val",
) -> None:
    """Predict a split of a data set by a method that is not trained.

    Args:
        experiment: `preset`, `dataset`, `variant` and `inference`, for the record.
        output: a file in COCO's results format.
        processes: how many search at a time; the result does not depend on it.

    Raises:
        UserError: the data are missing or faulty, or OpenCV lacks what the method needs.
    """
    remove_leftovers(output.parent, output.name)
    device = f"cpu ({cpu_name()}, {processes} processes)"
    values = settings.model_dump(mode="json")
    finish = start_record(settings=values, seed=values.get("seed"), device=device)
    dataset, read = read_split(settings, data, split)

    def record(made: str) -> dict[str, Any]:
        step = finish() | read | {"output_digest": made}
        return experiment | {"trial": 0} | of_split(split) | {"predict": step}

    family = family_of(settings)
    predict = family.function(family.predict)
    with origin_written_last(output, record):
        predict(dataset, settings, output, processes)
