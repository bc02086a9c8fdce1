"""Time and memory beside other implementations, by the cases of `pointrend-repro bench`.

Each case's sides take turns in this process, as in `bench`; only memory is measured here, too: on a
GPU it is the allocator's, which needs no process of its own. Images a second follow from the cases
of whole images and of training steps.
"""

import dataclasses
import gc
from typing import Any

import torch

from benchmarks.gpu_check.stage import Asked
from pointrend_repro.tools.bench.case import Case, make_case
from pointrend_repro.tools.bench.memory import peak_mb_of
from pointrend_repro.tools.bench.timing import Timings, measure_times, median_and_range

# The most important first: what does not fit into the time is left out.
CASES = (
    *("training_step", "whole_image", "mask_head", "whole_image_precision", "semantic_pointrend"),
    *("keypoint_head", "sharpmask_dense"),
)
_QUICK = ("mask_head",)
_ROUNDS = 10
# Images in one run of a case.
IMAGES = {"training_step": 2, "whole_image": 1, "whole_image_precision": 1}


def measure(asked: Asked) -> None:
    cases: dict[str, Any] = {}
    asked.tell(cases=cases)
    for name in _QUICK if asked.is_quick else CASES:
        try:
            case = make_case(name, "tiny" if asked.is_quick else "full", asked.device)
            cases[name] = measured(name, case, asked)
        except Exception as error:
            asked.fail(name, error)
        asked.tell(cases=cases)
        gc.collect()  # what one case leaves on the GPU, the next may need


def measured(name: str, case: Case, asked: Asked) -> dict[str, Any]:
    """Measure a case; outputs that differ too much are noted and do not stop it."""

    def compare(ours: Any, theirs: Any) -> dict[str, float]:
        try:
            return case.compare(ours, theirs)
        except AssertionError as error:
            asked.fail(f"{name}: outputs", error)
            return {}

    rounds = 1 if asked.is_quick else _ROUNDS
    with_notes = dataclasses.replace(case, compare=compare)
    times = measure_times(with_notes, rounds=rounds, device=asked.device)
    return {
        "settings": case.settings,
        "sides": {side: _of_side(name, case, side, times, asked) for side in times.seconds},
        "not_installed": times.left_out,
        "differences": times.differences,
    }


def _of_side(name: str, case: Case, side: str, times: Timings, asked: Asked) -> dict[str, Any]:
    ours, seconds = next(iter(times.seconds)), times.seconds[side]
    ratios = [b / a for a, b in zip(times.seconds[ours], seconds, strict=True)]
    found = {"seconds": median_and_range(seconds), "time_ours_is_1": median_and_range(ratios)}
    if name in IMAGES:
        found["images_a_second"] = IMAGES[name] / found["seconds"]["median"]
    try:
        found["additional_peak_mb"] = peak_mb_of(case.sides[side](), asked.device)
    except torch.cuda.OutOfMemoryError as error:
        asked.fail(f"{name}: {side}: memory", error)
    return found
