"""One step and one prediction of every variant, in float32 and in bfloat16, with peak memory.

Variants are those of all papers at the size of preset `paper` (quick: one of `smoke`), those with
the same model and input once. Images are generated and resized to what the variant trains on;
weights are random. Other stages run beside this one, so times are not measured.
"""

import gc
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu_check.one_model import Example, make_example, prediction, step
from benchmarks.gpu_check.stage import Asked
from pointrend_repro.config.papers import list_papers
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.settings.at_test import Precision

_TESTS = str(Path(__file__).resolve().parents[2] / "tests")
if _TESTS not in sys.path:
    sys.path.append(_TESTS)

from kinds_of_models import draw_few, kinds  # noqa: E402

_QUICK = "pointrend_r50_fpn"


def measure(asked: Asked) -> None:
    drawn = load_grid("smoke", papers=list_papers())
    grid = drawn if asked.is_quick else load_grid("paper", papers=list_papers())
    images = draw_few(drawn, asked.folder / "data")
    device, found = torch.device(asked.device), {}
    todo = list(every_variant(grid))
    if asked.is_quick:
        todo = [each for each in todo if each[1] == _QUICK][:1]
    asked.tell(of=len(todo), variants=found)
    for dataset, variant in todo:
        name = f"{dataset}/{variant}"
        try:
            settings = grid.training_settings(dataset, variant)
            example = make_example(settings, images[drawn_for(dataset, settings, grid, drawn)])
            found[name] = in_both_precisions(example, device)
        except Exception as error:
            asked.fail(name, error)
        asked.tell(variants=found)


def every_variant(grid: Grid) -> Iterator[tuple[str, str]]:
    """Yield data set and variant of each model that a grid trains: first one of each kind."""
    seen: set[str] = set()
    for dataset, variant in [*kinds(grid), *((t.dataset, t.variant) for t in grid.trainings)]:
        settings = grid.training_settings(dataset, variant)
        what = repr((settings.family, settings.model, settings.input))
        if what not in seen:
            seen.add(what)
            yield dataset, variant


def drawn_for(dataset: str, settings: Any, grid: Grid, drawn: Grid) -> str:
    """Return the generated data set of the same role.

    Detectors of Cityscapes get that of COCO: Cityscapes' objects would first have to be prepared.
    """
    roles = {there: role for role, there in grid.preset.datasets.items()}
    role = roles[dataset]
    if role == "cityscapes" and settings.family != "semantic":
        role = "coco"
    return drawn.preset.datasets[role]


def in_both_precisions(example: Example, device: torch.device) -> dict[str, Any]:
    """Return, for each precision, the losses, how much was found, and peak memory in MB."""
    model = example.model().to(device)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    precisions: tuple[Precision, ...] = ("fp32", "bf16")
    found = {}
    for precision in precisions:
        model.load_state_dict(weights)  # batch normalisation has learnt statistics
        found[precision] = one_of_each(model, example, device, precision)
    del model, weights
    gc.collect()
    return found


def one_of_each(
    model: torch.nn.Module, example: Example, device: torch.device, precision: Precision
) -> dict[str, Any]:
    """Make one step and one prediction.

    Raises:
        ArithmeticError: a loss or a score is not finite.
    """
    _start_memory(device)
    losses = {k: float(v) for k, v in step(model, example, device, precision).items()}
    found: dict[str, Any] = {"losses": losses, "step_peak_mb": _peak_mb(device)}
    if not all(math.isfinite(loss) for loss in losses.values()):
        raise ArithmeticError(f"{precision}: losses {losses}")
    model.zero_grad()
    if not example.predicts:
        return found | {"prediction": "is given boxes"}
    _start_memory(device)
    arrays = prediction(model, example, precision)
    if not all(np.isfinite(a).all() for a in arrays.values() if a is not None):
        raise ArithmeticError(f"{precision}: what was found is not finite")
    shapes = {name: list(np.shape(array)) for name, array in arrays.items() if array is not None}
    return found | {"prediction": shapes, "prediction_peak_mb": _peak_mb(device)}


def _start_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak_mb(device: torch.device) -> float | None:
    """Return the allocator's peak, weights and all; only CUDA's has one."""
    if device.type != "cuda":
        return None
    return round(torch.cuda.max_memory_allocated(device) / 1e6, 1)
