"""Instance and semantic segmentation: the one place that knows what differs between the two.

Settings say which of the two they are for; the loop and the steps ask `task_of` for all else.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pointrend_repro.data.batches import Record
from pointrend_repro.data.cityscapes import Split
from pointrend_repro.data.coco import CocoDataset, ImageRecord, read_coco
from pointrend_repro.data.examples import training_example
from pointrend_repro.data.paths import DataPaths
from pointrend_repro.data.semantic import (
    LabelledImage,
    LabelledImages,
    read_labelled_images,
    semantic_example,
)
from pointrend_repro.predictions.instances import write_results
from pointrend_repro.predictions.label_maps import write_label_maps
from pointrend_repro.settings.instances import OptimizerSettings
from pointrend_repro.settings.semantic import (
    AnyInferenceSettings,
    AnyTrainingSettings,
    SemanticInferenceSettings,
    SemanticOptimizerSettings,
    SemanticTrainingSettings,
)

AnyDataset = CocoDataset | LabelledImages


@dataclass(frozen=True)
class Task:
    """What one kind of model does in its own way, between a data set and its predictions.

    Data sets have `categories` and `images`; apart from these only the task's own functions look
    into them.

    Attributes:
        read: reads one split of a data set.
        trains_on: whether an image is trained on.
        make_example: reads and augments an image, by `settings` (its input settings) and `rng`.
        identity: what of an image decides the weights, as JSON.
        predict: predicts a data set with a saved model by some inference settings, and writes the
            predictions to a path, whole or not at all.
    """

    read: Callable[[DataPaths, Split], AnyDataset]
    trains_on: Callable[[Any], bool]
    make_example: Callable[..., Any]
    identity: Callable[[Any], Any]
    predict: Callable[[Any, Any, Any, Path], None]

    def training_records(self, dataset: AnyDataset) -> Sequence[Record]:
        """The images to train on."""
        return [image for image in dataset.images if self.trains_on(image)]


def task_of(settings: AnyTrainingSettings | AnyInferenceSettings) -> Task:
    """Return the task that settings are for."""
    if isinstance(settings, SemanticTrainingSettings | SemanticInferenceSettings):
        return _SEMANTIC
    return _INSTANCES


def parameter_groups(model: nn.Module, optimizer: OptimizerSettings) -> list[dict[str, Any]]:
    """Return what an optimizer trains, each group with its weight decay and `lr_factor`.

    Of semantic models, ASPP and the prediction convolution learn at a rate of their own
    (supplement, section 2), and normalisation has a weight decay of its own.
    """
    norm_decay, decoder_factor = optimizer.weight_decay, 1.0
    if isinstance(optimizer, SemanticOptimizerSettings):
        norm_decay, decoder_factor = optimizer.norm_weight_decay, optimizer.decoder_lr_factor
    norms = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, _BatchNorm | nn.GroupNorm)
        for parameter in module.parameters()
    }
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            factor = decoder_factor if name.startswith("decoder.") else 1.0
            decay = norm_decay if id(parameter) in norms else optimizer.weight_decay
            groups.setdefault((factor, decay), []).append(parameter)
    return [
        {"params": parameters, "lr_factor": factor, "weight_decay": decay}
        for (factor, decay), parameters in groups.items()
    ]


def _read_instances(data: DataPaths, split: Split) -> CocoDataset:
    if split == "train":
        return read_coco(data.train_images, data.train_annotations)
    return read_coco(data.val_images, data.val_annotations)


def _read_labels(data: DataPaths, split: Split) -> LabelledImages:
    return read_labelled_images(data.root, split)


def _has_object(image: ImageRecord) -> bool:
    """Images without any object are left out of training, as in detectron2."""
    return any(not annotation.is_crowd for annotation in image.annotations)


def _objects(image: ImageRecord) -> Any:
    return [image.id, [(a.label, a.is_crowd, *a.box) for a in image.annotations]]


def _label_file(image: LabelledImage) -> Any:
    # Reading the labels of 2975 images to start a training would take a minute.
    return [image.id, image.labels.stat().st_size]


_INSTANCES = Task(_read_instances, _has_object, training_example, _objects, write_results)
_SEMANTIC = Task(_read_labels, lambda _: True, semantic_example, _label_file, write_label_maps)
