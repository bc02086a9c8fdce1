"""The same training step in other ways: channels first, trunk compiled, bfloat16.

Each differs from `ours` in one thing. bfloat16 changes numerics; how much the losses of the first
step move is in the record.
"""

import shutil
from collections.abc import Callable

import torch

from benchmarks.cases.training_step import MODEL, SIZES, Losses, ours
from benchmarks.peers import require_bfloat16
from benchmarks.whole_models import Scene
from pointrend_repro.tools.bench.case import Case, NotInstalled, Size


def make(size: Size, device: str) -> Case:
    scene = Scene(*SIZES[size], num_images=2)
    return Case(
        settings={"height": scene.height, "width": scene.width, "images": 2},
        sides={
            "ours": lambda: ours(scene, scene.model(MODEL), device),
            "channels first": lambda: channels_first(scene, device),
            "bfloat16": lambda: bfloat16(scene, device),
            "compiled trunk": lambda: compiled(scene, device, size),
        },
        compare=compare,
    )


def channels_first(scene: Scene, device: str) -> Callable[[], Losses]:
    model = scene.model(MODEL)
    stack = model.backbone._batch
    model.backbone._batch = lambda images: stack(images).contiguous()
    return ours(scene, model, device)


def compiled(scene: Scene, device: str, size: Size) -> Callable[[], Losses]:
    if shutil.which("c++") is None:
        raise NotInstalled("a C++ compiler")
    model = scene.model(MODEL)
    # To generate code takes a minute, for which the tests need not wait.
    model.backbone.bottom_up.compile(backend="inductor" if size == "full" else "eager")
    return ours(scene, model, device)


def bfloat16(scene: Scene, device: str) -> Callable[[], Losses]:
    require_bfloat16(device)
    return ours(scene, scene.model(MODEL), device, dtype=torch.bfloat16)


def compare(ours: Losses, theirs: Losses) -> dict[str, float]:
    largest = max(abs(ours[name] - theirs[name]) / ours[name] for name in ours)
    assert largest < 0.1, f"losses differ by {largest:.2%}: {ours} and {theirs}"
    return {"largest_relative_difference_of_a_loss": largest}
