"""What the benchmarks of trained semantic models share: their command line, and what they write."""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pointrend_repro as pr
from pointrend_repro.checkpoints.saved_models import SavedModel
from pointrend_repro.data.semantic import LabelledImage, read_labelled_images
from pointrend_repro.modeling.semantic.model import SemanticModel

Measure = Callable[[Path, tuple[LabelledImage, ...]], dict[str, float]]


def semantic_model(path: Path) -> tuple[SavedModel, SemanticModel]:
    """Return a saved model, whole and as the network that it is."""
    saved = pr.load_model(path).saved
    assert isinstance(saved.model, SemanticModel)
    return saved, saved.model


def command_line(description: str | None) -> argparse.ArgumentParser:
    """Return the arguments that `measure_models` reads."""
    parser = argparse.ArgumentParser(description=description, allow_abbrev=False)
    parser.add_argument("root", type=Path, help="a folder in Cityscapes' layout, whose val is read")
    parser.add_argument("models", type=Path, nargs="+", help="model.safetensors of trainings")
    parser.add_argument("--images", type=int, help="only the first so many")
    parser.add_argument("--json", type=Path, help="a file to write")
    return parser


def measure_models(
    asked: argparse.Namespace, measure: Measure, about: Mapping[str, Any] | None = None
) -> None:
    """Print, and write if asked to, the mIoUs that `measure` finds for each model.

    Args:
        about: what to write beside them: how they were measured.
    """
    images = read_labelled_images(asked.root, "val").images[: asked.images]
    found = {}
    for path in asked.models:
        found[f"{path.parent.parent.name}/{path.parent.name}"] = measure(path, images)
        print(*list(found.items())[-1])
    if asked.json:
        content = {"images": len(images), **(about or {}), "miou": found}
        asked.json.write_text(json.dumps(content, indent=2) + "\n")
