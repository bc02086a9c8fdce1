"""`pointrend-repro export`: writes the graph of a trained model, and what its numbers mean."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import require_other, write_json
from pointrend_repro.base.provenance import start_record
from pointrend_repro.checkpoints.loading import load_known_model, load_own_file
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.config.reading import with_test
from pointrend_repro.modeling.detector import MaskRCNN
from pointrend_repro.modeling.solov2.model import SOLOv2
from pointrend_repro.settings.at_test import input_at_test
from pointrend_repro.settings.instances import InferenceSettings
from pointrend_repro.settings.solov2 import SoloInferenceSettings
from pointrend_repro.tools.export.formats import (
    MAX_SIDE_PX,
    Format,
    Graph,
    require_suffix,
    write_graph,
)
from pointrend_repro.tools.export.graph import MIN_SIDE_PX, SIZE_DIVISOR, DetectorGraph
from pointrend_repro.tools.export.solov2_graph import SoloGraph

_OUTPUTS = {
    "boxes": "float32 (R, 4), xyxy in pixels of `image`",
    "scores": "float32 (R,)",
    "labels": "int64 (R,), indices into `classes` and `categories`",
    "mask_probabilities": "float32 (R, H / 4, W / 4) over all of `image`; above 0.5 is the object",
    "mask_logits": "float32 (R, M, M) over each box; above 0 is the object",
    "keypoint_logits": "float32 (R, K, S, S) over each box, of `keypoints`; each is the centre of "
    "the largest pixel of its map, resized bicubically to the box's sides, rounded up",
}


def export_model(
    model: str,
    weights: Path | None,
    form: Format,
    output: Path,
    settings: InferenceSettings,
    *,
    head: str | None = None,
    asked: Mapping[str, Any] | None = None,
) -> Path:
    """Write a detector as a graph, and `<output>.json` with its inputs, outputs and classes.

    Args:
        model: the `model.safetensors` of a training, or a name of `list_models`.
        weights: for a named model; None for a file.
        settings: how a model with boxes predicts; SOLOv2 predicts as its paper says.
        head: the plug-in head that the file's model may have, as a variant names it.
        asked: what to test with besides, under the keys of `test` in an inference setting.

    Returns:
        The path of that JSON.

    Raises:
        UserError: there is no such model, its file is faulty or does not match the record beside
            it, it cannot be exported, or the output is a file to read or named like one of another
            format.
    """
    require_other(output, [Path(model), *([] if weights is None else [weights])])
    require_suffix(output, form)
    saved = _load(model, weights, head)
    graph = _graph(model, saved, settings, asked or {})
    finish = start_record(settings=graph.settings.model_dump(mode="json"), seed=None, device="cpu")
    write_graph(graph, form, output)
    description = describe(saved, form, graph)
    path = output.with_name(f"{output.name}.json")
    write_json(path, description | finish())
    return path


def _graph(
    name: str, saved: SavedModel, settings: InferenceSettings, asked: Mapping[str, Any]
) -> Graph:
    if asked.get("precision", "fp32") != "fp32":
        raise UserError(
            "--test: precision: an exported model is written in fp32; what runs it may convert it"
        )
    if isinstance(saved.model, SOLOv2):
        return SoloGraph(saved.model, with_test(SoloInferenceSettings(), asked, where="--test"))
    if isinstance(saved.model, MaskRCNN):
        return DetectorGraph(saved.model, with_test(settings, asked, where="--test"))
    raise UserError(
        f"{name}: is of family {saved.model.settings.family}; detectors with a mask head, of "
        "family mask_rcnn, and SOLOv2 are what can be exported"
    )


def _load(model: str, weights: Path | None, head: str | None) -> SavedModel:
    if weights is not None:
        return load_known_model(model, weights)
    if not Path(model).suffix:
        raise UserError(f"model {model!r}: give its --weights, or name a model.safetensors")
    return load_own_file(Path(model), head=head)


def describe(saved: SavedModel, form: Format, graph: Graph) -> dict[str, Any]:
    """Return what a graph's user has to know: inputs, sizes, outputs and classes."""
    size = input_at_test(saved.input, graph.settings.test)
    return {
        "format": form,
        "inputs": {
            "image": "float32 (3, H, W), RGB, 0 to 255, resized to image_size.short_edge_px, or to "
            "image_size.max_long_edge_px if that is smaller, then padded below and on the right to "
            "multiples of image_size.multiple_of_px, within min_side_px and max_side_px; the graph "
            "normalises it",
            "size": "int64 (2,), height and width before padding",
        },
        "image_size": {
            "short_edge_px": size.test_short_edge_px,
            "max_long_edge_px": size.max_long_edge_px,
            "multiple_of_px": SIZE_DIVISOR,
            "min_side_px": MIN_SIDE_PX,
            "max_side_px": MAX_SIDE_PX,
        },
        "outputs": {name: _OUTPUTS[name] for name in graph.outputs},
        "classes": [name for _, name in saved.categories],
        "categories": [{"id": number, "name": name} for number, name in saved.categories],
    } | ({} if saved.keypoints is None else {"keypoints": list(saved.keypoints.names)})
