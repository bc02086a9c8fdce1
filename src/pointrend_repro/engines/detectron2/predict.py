"""Predictions by detectron2's own inference, in our formats."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data.transforms import ResizeShortestEdge
from detectron2.evaluation.coco_evaluation import instances_to_coco_json
from detectron2.structures import Instances
from torch import Tensor, nn

from pointrend_repro.base.provenance import record_version
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import CocoDataset, ImageRecord
from pointrend_repro.data.semantic import LabelledImage, LabelledImages
from pointrend_repro.engines.detectron2.config import inference_config
from pointrend_repro.engines.detectron2.install import detectron2_version
from pointrend_repro.engines.detectron2.models import build_with_weights, make_config
from pointrend_repro.engines.detectron2.pictures import read_pixels
from pointrend_repro.predictions.image_steps import Steps
from pointrend_repro.predictions.in_parts import ALONE, LIST, Work, write_in_parts
from pointrend_repro.predictions.instances import require_same_categories
from pointrend_repro.predictions.label_maps import write_label_images
from pointrend_repro.settings.of_family import AnyInferenceSettings


def predict(
    saved: SavedModel,
    dataset: CocoDataset | LabelledImages,
    settings: AnyInferenceSettings,
    path: Path,
    work: Work = ALONE,
) -> None:
    """Predict every image of a data set with detectron2 and a model's weights.

    Args:
        saved: the model, on the device to compute on.
        path: for COCO's results format or, for a semantic model, the folder of label images.
        work: who predicts.

    Raises:
        UserError: detectron2 does not support the settings, the categories are not the model's, or
            an image cannot be read, or not at its recorded size.
    """
    require_same_categories(saved, dataset)
    record_version("detectron2", detectron2_version())
    keys = inference_config(
        saved.model.settings, saved.input, settings, num_classes=len(saved.categories)
    )
    cfg = make_config(keys, device=saved.model.backbone.pixel_mean.device.type)
    model = build_with_weights(cfg, saved.model)
    read = partial(_read, cfg=cfg)
    if isinstance(dataset, LabelledImages):
        write_label_images(dataset, path, read, partial(_label, model), work)
    else:
        entries = partial(_entries, categories=[category for category, _ in saved.categories])
        steps = Steps(read, partial(_find, model), entries)
        write_in_parts(path, dataset.images, steps, LIST, work)


def _read(record: ImageRecord | LabelledImage, cfg: CfgNode) -> dict[str, Any]:
    """Return the input of a model of detectron2."""
    height, width = record.height, record.width
    image = read_pixels(record.path, width=width, height=height, order=cfg.INPUT.FORMAT)
    edge = cfg.INPUT.MIN_SIZE_TEST
    resize = ResizeShortestEdge([edge, edge], cfg.INPUT.MAX_SIZE_TEST)
    pixels = resize.get_transform(image).apply_image(image).transpose(2, 0, 1).astype("float32")
    return {"image": torch.from_numpy(pixels), "height": height, "width": width}


def _find(model: nn.Module, record: ImageRecord, seen: dict[str, Any]) -> tuple[int, Instances]:
    return record.id, _output(model, seen)["instances"].to("cpu")


def _entries(found: tuple[int, Instances], categories: list[int]) -> list[dict[str, Any]]:
    image_id, instances = found
    return [
        result | {"category_id": categories[result["category_id"]]}
        for result in instances_to_coco_json(instances, image_id)
    ]


def _label(model: nn.Module, _: LabelledImage, seen: dict[str, Any]) -> Any:
    """Return train ids (H, W) uint8, at the image's own size."""
    logits: Tensor = _output(model, seen)["sem_seg"]
    return logits.argmax(dim=0).to(torch.uint8).cpu().numpy()


@torch.no_grad()
def _output(model: nn.Module, seen: dict[str, Any]) -> dict[str, Any]:
    (output,) = model([seen])
    result: dict[str, Any] = output
    return result
