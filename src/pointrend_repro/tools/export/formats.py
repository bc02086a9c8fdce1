"""One function per format: from a detector's graph to a file."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import atomic_path
from pointrend_repro.base.provenance import record_version
from pointrend_repro.tools.export.graph import (
    INPUTS,
    MIN_SIDE_PX,
    SIZE_DIVISOR,
    DetectorGraph,
    padded_image,
)
from pointrend_repro.tools.export.solov2_graph import SoloGraph

Graph = DetectorGraph | SoloGraph
Format = Literal["onnx", "torchscript", "pt2"]

# The first opset with GridSample of 4-D input, NonMaxSuppression and RoiAlign with half pixels.
_ONNX_OPSET = 20
_SUFFIXES: dict[str, Format] = {
    ".onnx": "onnx",
    ".pt": "torchscript",
    ".ts": "torchscript",
    ".torchscript": "torchscript",
    ".pt2": "pt2",
}
_OF_WEIGHTS = (".safetensors", ".pkl", ".pth")
_TALKATIVE = ("onnxscript", "onnx_ir", "torch.onnx")
# Larger ones would lay objects of one class on those of another (`modeling.boxes`), and only
# torch.export writes the limit into its graph.
MAX_SIDE_PX = 4096


def require_suffix(path: Path, form: Format) -> None:
    """Refuse a name that says another format than the one to be written; others say none.

    Raises:
        UserError: it does.
    """
    suffix = path.suffix.lower()
    of = "weights" if suffix in _OF_WEIGHTS else _SUFFIXES.get(suffix, form)
    if of != form:
        own = next(key for key, value in _SUFFIXES.items() if value == form)
        raise UserError(f"{path}: {suffix} is the ending of {of}, not of {form}; write {own}")


def write_graph(graph: Graph, form: Format, path: Path) -> None:
    """Write a graph for images of any size with any number of objects.

    Args:
        form: `onnx` (for onnxruntime and others), `torchscript` (`torch.jit.load`; needs
            torchvision's operators) or `pt2` (`torch.export.load`; the same).

    Raises:
        UserError: a package is missing, or the model cannot be exported.
    """
    writers: dict[Format, Callable[[Graph, Path], None]] = {
        "onnx": _write_onnx,
        "torchscript": _write_torchscript,
        "pt2": _write_pt2,
    }
    with torch.no_grad(), warnings.catch_warnings(), atomic_path(path) as part:
        # The tracers warn about every shape that they treat as a constant; these all are.
        warnings.simplefilter("ignore")
        try:
            writers[form](graph.eval(), part)
        except (ImportError, UserError):
            raise
        except Exception as error:  # torch's exporters raise many kinds, with long messages
            first = next(iter(str(error).splitlines()), "")
            raise UserError(
                f"{path}: {graph.what} cannot be exported as {form}: "
                f"{type(error).__name__}: {first}"
            ) from error


def _write_pt2(graph: Graph, path: Path) -> None:
    with path.open("wb") as file:  # by a path, torch warns of every name that ends otherwise
        torch.export.save(_exported(graph), file)


def _write_torchscript(graph: Graph, path: Path) -> None:
    traced = torch.jit.trace(graph, example_inputs(), check_trace=False)
    traced.save(str(path))


def _write_onnx(graph: Graph, path: Path) -> None:
    try:
        import onnx
        import onnxscript  # torch.onnx needs both: report their absence at once
    except ImportError:
        raise UserError(
            "export as onnx needs the packages onnx and onnxscript: "
            "pip install 'pointrend-repro[export]'"
        ) from None
    if (
        isinstance(graph, DetectorGraph)
        and graph.model.settings.detector.roi_layer.kind == "roi_pool"
    ):
        raise UserError(
            "onnx: torch's exporter does not know RoIPool; export as pt2 or torchscript"
        )
    for library in (onnx, onnxscript):
        record_version(library.__name__, library.__version__)
    for name in _TALKATIVE:  # hundreds of lines, one for each weight
        logging.getLogger(name).setLevel(logging.WARNING)
    program = torch.onnx.export(
        _exported(graph),
        dynamo=True,
        opset_version=_ONNX_OPSET,
        input_names=INPUTS,
        output_names=list(graph.outputs),
        verbose=False,
    )
    assert program is not None
    program.save(str(path), external_data=False)


def _exported(graph: Graph) -> torch.export.ExportedProgram:
    smallest, largest = MIN_SIDE_PX // SIZE_DIVISOR, MAX_SIDE_PX // SIZE_DIVISOR
    height, width = (
        torch.export.Dim(name, min=smallest, max=largest) for name in ("height", "width")
    )
    sizes = {1: SIZE_DIVISOR * height, 2: SIZE_DIVISOR * width}
    return torch.export.export(
        graph, example_inputs(), dynamic_shapes={"image": sizes, "size": None}, strict=False
    )


def example_inputs() -> tuple[Tensor, Tensor]:
    """Return an image that a graph can be traced with: noise, so that it holds some objects."""
    generator = torch.Generator().manual_seed(0)
    return padded_image(255 * torch.rand(3, 250, 330, generator=generator))
