"""The steps behind the arrows of the pipeline: each reads files and writes files, with origins.

Beside every result lies `<result>.origin.json`: which experiment it belongs to, and the records of
the steps that led to it.
"""

from pathlib import Path
from typing import Any

from pointrend_repro.data.coco import read_coco
from pointrend_repro.data.paths import DataPaths
from pointrend_repro.errors import UserError
from pointrend_repro.evaluation import evaluate_predictions
from pointrend_repro.files import read_json, write_json
from pointrend_repro.provenance import cpu_name, start_record
from pointrend_repro.settings import InferenceSettings, TrainingSettings


def origin_path(result: Path) -> Path:
    """Return the path of a result's origin: `model.safetensors` has `model.origin.json`."""
    return result.with_suffix(".origin.json")


def run_training(
    experiment: dict[str, Any],
    settings: TrainingSettings,
    data: DataPaths,
    *,
    output: Path,
    device: str,
) -> None:
    """Train one model and write it to `output`.

    Args:
        experiment: preset, dataset, variant and trial; the trial is the seed.
        output: the model; logs and checkpoints go to its folder.
    """
    from pointrend_repro.modeling.weights import SavedModel, save_model
    from pointrend_repro.training.loop import train

    seed = int(experiment["trial"])
    finish = start_record(
        settings=settings.model_dump(mode="json"), seed=seed, device=device_name(device)
    )
    dataset = read_coco(data.train_images, data.train_annotations)
    model = train(settings, dataset, seed=seed, folder=output.parent, device=device)
    categories = [(c.id, c.name) for c in dataset.categories]
    write_json(origin_path(output), {**experiment, "train": finish()})
    save_model(output, SavedModel(model, settings.input, categories))


def run_prediction(
    inference: str,
    settings: InferenceSettings,
    data: DataPaths,
    *,
    model: Path,
    output: Path,
    device: str,
) -> None:
    """Predict the validation images with a trained model, into COCO's results format."""
    from pointrend_repro.modeling.weights import load_saved_model
    from pointrend_repro.prediction import predict_dataset

    finish = start_record(
        settings=settings.model_dump(mode="json"), seed=None, device=device_name(device)
    )
    saved = load_saved_model(model)
    saved.model.to(device)
    dataset = read_coco(data.val_images, data.val_annotations)
    results = predict_dataset(saved, dataset, settings)
    origin = read_json(origin_path(model)) | {"inference": inference, "predict": finish()}
    write_json(origin_path(output), origin)
    write_json(output, results, indent=None)


def run_evaluation(metric: str, ground_truth: Path, predictions: Path, *, output: Path) -> None:
    """Score predictions and write the numbers with their whole origin."""
    finish = start_record(settings={"metric": metric}, seed=None, device=device_name("cpu"))
    values = evaluate_predictions(metric, ground_truth, predictions)
    origin = read_json(origin_path(predictions)) | {"evaluate": finish()}
    write_json(output, {"metric": metric, "values": values, "origin": origin})


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
