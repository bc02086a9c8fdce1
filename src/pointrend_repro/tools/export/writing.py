"""`pointrend-repro export`: writes the graph of a trained model, and what its numbers mean."""

from pathlib import Path
from typing import Any

import torch

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import require_other, require_ours, write_json
from pointrend_repro.base.provenance import start_record
from pointrend_repro.checkpoints.loading import load_known_model, load_own_file
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.modeling.detector import MaskRCNN
from pointrend_repro.modeling.solov2.model import SOLOv2
from pointrend_repro.settings.at_test import input_at_test
from pointrend_repro.settings.instances import InferenceSettings
from pointrend_repro.settings.of_family import AnyInferenceSettings
from pointrend_repro.settings.solov2 import SoloInferenceSettings
from pointrend_repro.tools.export.choosing import Asked, inference_of_graph
from pointrend_repro.tools.export.formats import (
    MAX_SIDE_PX,
    Format,
    Graph,
    example_inputs,
    require_suffix,
    write_graph,
)
from pointrend_repro.tools.export.graph import (
    EXACT_FROM_PX,
    MIN_SIDE_PX,
    SIZE_DIVISOR,
    DetectorGraph,
)
from pointrend_repro.tools.export.solov2_graph import SoloGraph

_OUTPUTS = {
    "boxes": "float32 (R, 4), xyxy in pixels of `image`",
    "scores": "float32 (R,)",
    "labels": "int64 (R,), indices into `classes` and `categories`",
    "mask_probabilities": "float32 (R, H / 4, W / 4) over all of `image`; above 0.5 is the object",
    "mask_logits": "float32 (R, M, M) over each box, M as in `mask_side`; above 0 is the object",
    "keypoint_logits": "float32 (R, K, S, S) over each box, of `keypoints`; each is the centre of "
    "the largest pixel of its map, resized bicubically to the box's sides, rounded up",
}


def export_model(
    model: str,
    weights: Path | None,
    form: Format,
    output: Path,
    asked: Asked,
    *,
    head: str | None = None,
) -> Path:
    """Write a detector as a graph, and `<output>.json` with its inputs, outputs and classes.

    Args:
        model: the `model.safetensors` of a training, or a name of `list_models`.
        weights: for a named model; None for a file.
        asked: what it does otherwise than `load_model`.
        head: the plug-in head that the file's model may have, as a variant names it.

    Returns:
        The path of that JSON.

    Raises:
        UserError: there is no such model, its file is faulty or does not match the record beside
            it, it cannot be exported, or not with what is asked for; or the output is a file to
            read or named like one of another format, or `<output>.json` is of something else.
    """
    require_other(output, [Path(model), *([] if weights is None else [weights])])
    require_suffix(output, form)
    path = output.with_name(f"{output.name}.json")
    require_ours(path, ("format", "inputs", "outputs", "classes"), "a graph's description")
    saved = _load(model, weights, head)
    _require_kind(model, saved)
    settings = inference_of_graph(saved, asked)
    graph = _graph(saved, settings)
    finish = start_record(settings=graph.settings.model_dump(mode="json"), seed=None, device="cpu")
    write_graph(graph, form, output)
    write_json(path, describe(saved, form, graph) | finish())
    return path


def _require_kind(name: str, saved: SavedModel) -> None:
    if isinstance(saved.model, SOLOv2 | MaskRCNN):
        return
    settings = saved.model.settings
    if getattr(settings, "rpn_only", False):
        raise UserError(
            f"{name}: proposes boxes and finds no objects (model.rpn_only), so it cannot be "
            "exported; export a detector"
        )
    raise UserError(
        f"{name}: is of family {settings.family}, which cannot be exported; what can be: detectors "
        "of family mask_rcnn, with a mask head or without, and SOLOv2"
    )


def _graph(saved: SavedModel, settings: AnyInferenceSettings) -> Graph:
    if isinstance(settings, SoloInferenceSettings):
        return SoloGraph(saved.model, settings)
    assert isinstance(settings, InferenceSettings)
    return DetectorGraph(saved.model, settings)


def _load(model: str, weights: Path | None, head: str | None) -> SavedModel:
    if weights is not None:
        return load_known_model(model, weights)
    if not Path(model).suffix:
        raise UserError(f"model {model!r}: give its --weights, or name a model.safetensors")
    return load_own_file(Path(model), head=head)


def describe(saved: SavedModel, form: Format, graph: Graph) -> dict[str, Any]:
    """Return what a graph's user has to know: inputs, sizes, outputs and classes."""
    size = input_at_test(saved.input, graph.settings.test)
    described: dict[str, Any] = {
        "format": form,
        "inputs": {
            "image": "float32 (3, H, W), RGB, 0 to 255, resized to image_size.short_edge_px, or to "
            "image_size.max_long_edge_px if that is smaller, then padded below and on the right to "
            "multiples of image_size.multiple_of_px, within min_side_px and max_side_px; the graph "
            "normalises it. A side below exact_from_px before padding is padded further than the "
            "model pads it, and numbers then differ; beyond max_side_px they are wrong, which only "
            "pt2 refuses",
            "size": "int64 (2,), height and width before padding",
        },
        "image_size": {
            "short_edge_px": size.test_short_edge_px,
            "max_long_edge_px": size.max_long_edge_px,
            "multiple_of_px": SIZE_DIVISOR,
            "min_side_px": MIN_SIDE_PX,
            "exact_from_px": EXACT_FROM_PX,
            "max_side_px": MAX_SIDE_PX,
        },
        "outputs": {name: _OUTPUTS[name] for name in graph.outputs},
        "classes": [name for _, name in saved.categories],
        "categories": [{"id": number, "name": name} for number, name in saved.categories],
    }
    if "mask_logits" in graph.outputs:
        described["mask_side"] = _mask_side(graph)
    if saved.keypoints is not None:
        described["keypoints"] = list(saved.keypoints.names)
    return described


def _mask_side(graph: Graph) -> int:
    """Return the side of the grids of logits: heads, and those of others too, do not tell it."""
    with torch.no_grad():
        outputs = dict(zip(graph.outputs, graph.eval()(*example_inputs()), strict=True))
    return int(outputs["mask_logits"].shape[-1])
