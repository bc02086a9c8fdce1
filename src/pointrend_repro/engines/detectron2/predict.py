"""Predictions by detectron2's own inference, in our formats."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data.detection_utils import read_image
from detectron2.data.transforms import ResizeShortestEdge
from detectron2.evaluation.coco_evaluation import instances_to_coco_json
from rich.progress import track
from torch import Tensor, nn

from pointrend_repro.base.json_list import write_json_list
from pointrend_repro.base.provenance import record_version
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.data.semantic import LabelledImages
from pointrend_repro.engines.detectron2.config import inference_config
from pointrend_repro.engines.detectron2.install import detectron2_version
from pointrend_repro.engines.detectron2.models import build_with_weights, make_config
from pointrend_repro.predictions.instances import require_same_categories
from pointrend_repro.predictions.label_maps import write_label_images
from pointrend_repro.settings.of_family import AnyInferenceSettings


def predict(
    saved: SavedModel,
    dataset: CocoDataset | LabelledImages,
    settings: AnyInferenceSettings,
    path: Path,
) -> None:
    """Predict every image of a data set with detectron2 and a model's weights.

    Args:
        saved: the model, on the device to compute on.
        path: for COCO's results format or, for a semantic model, the folder of label images.

    Raises:
        UserError: detectron2 does not support the settings, or the categories are not the model's.
    """
    require_same_categories(saved, dataset)
    record_version("detectron2", detectron2_version())
    keys = inference_config(
        saved.model.settings, saved.input, settings, num_classes=len(saved.categories)
    )
    cfg = make_config(keys, device=saved.model.backbone.pixel_mean.device.type)
    model = build_with_weights(cfg, saved.model)
    if isinstance(dataset, LabelledImages):
        write_label_images(dataset, path, lambda image: _label(model, cfg, image.path))
    else:
        write_json_list(path, _find_all(model, cfg, dataset, saved.categories))


def _find_all(
    model: nn.Module, cfg: CfgNode, dataset: CocoDataset, categories: list[tuple[int, str]]
) -> Iterator[dict[str, Any]]:
    for record in track(dataset.images, "predicting"):
        found = _output(model, cfg, record.path)["instances"].to("cpu")
        for result in instances_to_coco_json(found, record.id):
            yield result | {"category_id": categories[result["category_id"]][0]}


def _label(model: nn.Module, cfg: CfgNode, path: Path) -> Any:
    """Return train ids (H, W) uint8, at the image's own size."""
    logits: Tensor = _output(model, cfg, path)["sem_seg"]
    return logits.argmax(dim=0).to(torch.uint8).cpu().numpy()


@torch.no_grad()
def _output(model: nn.Module, cfg: CfgNode, path: Path) -> dict[str, Any]:
    image = read_image(str(path), format=cfg.INPUT.FORMAT)
    height, width = image.shape[:2]
    edge = cfg.INPUT.MIN_SIZE_TEST
    resize = ResizeShortestEdge([edge, edge], cfg.INPUT.MAX_SIZE_TEST)
    pixels = resize.get_transform(image).apply_image(image).transpose(2, 0, 1).astype("float32")
    (output,) = model([{"image": torch.from_numpy(pixels), "height": height, "width": width}])
    result: dict[str, Any] = output
    return result
