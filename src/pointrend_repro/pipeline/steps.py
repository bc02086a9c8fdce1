"""The steps behind the arrows of the pipeline: each reads files and writes files, with origins.

Beside every result lies `<result>.origin.json`: which experiment it belongs to, and the records of
the steps that led to it.
"""

import contextlib
import sys
import traceback
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pointrend_repro.base.digests import result_digest
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import remove_leftovers, write_json
from pointrend_repro.base.origins import Recorded, origin_written_last, require_as_recorded
from pointrend_repro.base.provenance import cpu_name, start_record
from pointrend_repro.base.standard_output import standard_output_to
from pointrend_repro.config.metrics import KEYS
from pointrend_repro.data.fingerprint import predicted_data, scored_data, training_data
from pointrend_repro.data.paths import DataPaths
from pointrend_repro.evaluation import require_metric, score
from pointrend_repro.evaluation.bootstrap import image_counts, resample
from pointrend_repro.evaluation.scoring import ReadOnce
from pointrend_repro.settings.instances import (
    OWN_ENGINE,
    InferenceSettings,
    InputSettings,
    ModelSettings,
)
from pointrend_repro.settings.semantic import (
    AnyInferenceSettings,
    AnyModelSettings,
    AnyTrainingSettings,
)


def run_training(
    experiment: dict[str, Any],
    settings: AnyTrainingSettings,
    data: DataPaths,
    *,
    output: Path,
    device: str,
    start_from: Path | None = None,
) -> None:
    """Train one model and write it to `output`; under `torchrun`, as one of several processes.

    Args:
        experiment: preset, dataset, variant and trial; the trial is the seed.
        output: the model; logs and checkpoints go to its folder.
        start_from: the model of the training that `settings.start_from` names, if it names one.

    Raises:
        DamagedError: the model to start from is not what its record describes.
        UserError, StoppedBySignal: in process 0; see `training.loop.train`.
        SystemExit: in the other processes, where process 0 raises.
    """
    from pointrend_repro.training.signals import StopSignals

    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(StopSignals())  # before torch, whose import takes seconds
        from pointrend_repro.checkpoints.saved_models import SavedModel, save_model
        from pointrend_repro.engines.choosing import trainer_of
        from pointrend_repro.training.lock import only_training_in
        from pointrend_repro.training.processes import Processes
        from pointrend_repro.training.starting import noted_start
        from pointrend_repro.training.tasks import task_of

        seed = int(experiment["trial"])
        processes = Processes(device)
        with processes.together():
            train = trainer_of(settings.engine)
        finish = start_record(
            settings=settings.model_dump(mode="json"),
            seed=seed,
            device=_count_equal(processes.gather(device_name(device))),
        )
        with processes.together():
            if processes.is_main:
                stack.enter_context(only_training_in(output.parent))
            dataset = task_of(settings).read(data, "train")
            if processes.is_main:
                remove_leftovers(output.parent, output.name)
                used = training_data(dataset, data)
        if settings.start_from is not None:
            train = partial(train, start_from=start_from)
        model = train(settings, dataset, seed=seed, folder=output.parent, device=device, stop=stop)
        categories = [(c.id, c.name) for c in dataset.categories]
        saved = SavedModel(model, _of_inference(settings.input), categories)
        with processes.together():
            if processes.is_main:
                record = finish() | {"world_size": processes.count, "data": used}
                if settings.start_from is not None:
                    record["started_from"] = noted_start(output.parent)
                with origin_written_last(
                    output,
                    lambda made: {**experiment, "train": record | {"output_digest": made}},
                ):
                    save_model(output, saved)
        processes.end()


def run_prediction(
    inference: str,
    settings: AnyInferenceSettings,
    data: DataPaths,
    *,
    model: Path,
    output: Path,
    device: str,
    configured: AnyModelSettings | None = None,
    others: Mapping[Path, AnyModelSettings] | None = None,
) -> None:
    """Predict the validation images with a trained model, or with several together.

    Args:
        configured: the variant's settings, which must be those that the model was trained with.
            Without them a model with a plug-in head is refused.
        others: the models of `settings.ensemble.variants` in their order, each with its settings.
        output: a file in COCO's results format or, of a semantic model, a folder of label images.

    Raises:
        DamagedError: a model is not what its record describes.
        UserError: a model or the data are not there, or faulty.
    """
    origin, model_digest = require_as_recorded(model, "train")
    from pointrend_repro.checkpoints.saved_models import load_saved_model
    from pointrend_repro.engines.choosing import predictor_of
    from pointrend_repro.pipeline.together import put_together
    from pointrend_repro.training.tasks import task_of

    # A model is predicted with by what has trained it.
    trained_with = origin.get("train", {}).get("settings", {})
    predict = predictor_of(trained_with.get("engine", OWN_ENGINE), settings)
    remove_leftovers(output.parent, output.name)
    finish = start_record(
        settings=settings.model_dump(mode="json"), seed=None, device=device_name(device)
    )
    saved = load_saved_model(model, configured=configured)
    saved.model.to(device)
    dataset = task_of(settings).read(data, "val")
    predicting, together = put_together(saved, settings, others or {}, device)
    used = {"data": predicted_data(dataset), "input_digest": model_digest} | together
    with origin_written_last(
        output,
        lambda made: (
            origin | {"inference": inference, "predict": finish() | used | {"output_digest": made}}
        ),
    ):
        predict(predicting, dataset, settings, output)


def run_evaluation(
    metric: str,
    ground_truth: Path,
    predictions: Path,
    *,
    output: Path,
    resamples: int = 0,
    once: ReadOnce | None = None,
) -> None:
    """Score predictions and write the numbers with their whole origin.

    Args:
        resamples: how many times to score resampled images as well (evaluation/bootstrap/).
        once: what other metrics of the same predictions have read.

    Raises:
        DamagedError: the predictions are not what their record describes.
        UserError: the metric is unknown, or a file is faulty.
    """
    require_metric(metric)
    once = once or ReadOnce([metric])
    origin, predictions_digest = _predicted(predictions, once)
    remove_leftovers(output.parent, output.name)
    # No scorer needs torch, and to import it would take longer than most of them do.
    finish = start_record(settings={"metric": metric}, seed=None, device=f"cpu ({cpu_name()})")
    scored = score(metric, ground_truth, predictions, once)
    counts = image_counts(metric, scored) if resamples else None
    resampled = {"resampled": resample(counts, scored.values, resamples)} if counts else {}
    record = finish() | {
        "data": scored_data(metric, ground_truth),
        "input_digest": predictions_digest,
    }
    result = {"metric": metric, "values": scored.values, "origin": origin, **resampled}
    _write_result(output, result, record)


def _predicted(predictions: Path, once: ReadOnce) -> Recorded:
    recorded: Recorded = once(require_as_recorded, predictions, "predict")
    return recorded


def _write_result(output: Path, result: dict[str, Any], record: dict[str, Any]) -> None:
    """Write a metric file; the record of its evaluation has the digest of the numbers in it."""
    record = record | {"output_digest": result_digest(result)}
    write_json(output, result | {"origin": result["origin"] | {"evaluate": record}})


def run_evaluations(
    ground_truths: Mapping[str, Path], predictions: Path, *, folder: Path, resamples: int = 0
) -> None:
    """Score predictions by several metrics, each file read once.

    What `run_evaluation` writes goes to `<metric>.json`, and what it says to `<metric>.log`. A
    metric that fails does not keep the others from being scored.

    Args:
        ground_truths: by metric, in the order in which to score.
        folder: gets the files.

    Raises:
        DamagedError: the predictions are not what their record describes.
        UserError: a metric is unknown or, when the others are written, one has failed.
    """
    for metric in ground_truths:
        require_metric(metric)
    once = ReadOnce(ground_truths)
    score_once = partial(run_evaluation, predictions=predictions, resamples=resamples, once=once)
    folder.mkdir(parents=True, exist_ok=True)
    logs = {metric: folder / f"{metric}.log" for metric in ground_truths}
    for log in logs.values():
        log.write_text("")  # an older one would tell of another run
    _predicted(predictions, once)
    failed = []
    for metric, ground_truth in ground_truths.items():
        with standard_output_to(logs[metric]):
            try:
                score_once(metric, ground_truth, output=folder / f"{metric}.json")
            except UserError as error:
                print(f"pointrend-repro: error: {error}", file=sys.stderr)
                failed.append(metric)
            except Exception:
                traceback.print_exc()
                failed.append(metric)
    if failed:
        told = ", ".join(str(logs[metric]) for metric in failed)
        raise UserError(f"{', '.join(failed)} of {predictions} failed; see {told}")


def _count_equal(names: list[str]) -> str:
    """Return names in words, such as `4 x A, 4 x B`; one name alone as it is."""
    if len(names) == 1:
        return names[0]
    return ", ".join(f"{count} x {name}" for name, count in Counter(names).items())


def _of_inference(settings: InputSettings) -> InputSettings:
    """What a saved model needs: crops and the like are of the training alone."""
    values = settings.model_dump()
    return InputSettings(**{key: values[key] for key in InputSettings.model_fields})


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
    _write_result(output, result | {"origin": experiment}, finish())


def device_name(device: str) -> str:
    """Return a device in words, such as `cpu (AMD EPYC, 2 threads)`.

    Raises:
        UserError: a GPU is asked for and there is none.
    """
    import torch

    if device == "cpu":
        return f"cpu ({cpu_name()}, {torch.get_num_threads()} threads)"
    if not torch.cuda.is_available():
        raise UserError("device 'cuda': this machine has no usable GPU; use --device cpu")
    return f"cuda ({torch.cuda.get_device_name()})"
