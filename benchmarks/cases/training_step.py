"""A training step of PointRend, R50-FPN: two images of 800x1216, forwards, backwards and SGD.

Both sides have the same weights and draw the same anchors, RoIs and points; what is compared are
the losses of the first step.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.optim import SGD

from benchmarks.whole_models import Scene, detectron2_inputs, detectron2_model
from pointrend_repro.settings.schedule import OptimizerSettings
from pointrend_repro.tools.bench.case import Case, Size
from pointrend_repro.training.parameter_groups import alike as parameter_groups

MODEL = "pointrend_r50_fpn_coco"
SIZES = {"full": (800, 1216), "tiny": (96, 128)}
LEARNING_RATE = 1e-6  # a step is like the other
_OUR_NAMES = {"loss_rpn_cls": "loss_rpn_objectness", "loss_rpn_loc": "loss_rpn_box"}
_OUR_NAMES |= {"loss_box_reg": "loss_box"}

Losses = dict[str, float]


def make(size: Size, device: str) -> Case:
    scene = Scene(*SIZES[size], num_images=2)
    return Case(
        settings={"height": scene.height, "width": scene.width, "images": 2, "dtype": "float32"},
        sides={
            "ours": lambda: ours(scene, scene.model(MODEL), device),
            "detectron2": lambda: detectron2(scene, device),
        },
        compare=compare,
    )


def ours(
    scene: Scene, model: nn.Module, device: str, *, dtype: torch.dtype = torch.float32
) -> Callable[[], Losses]:
    model.train().to(device)
    images = [image.to(device) for image in scene.images(MODEL)]
    targets = [target.to(torch.device(device)) for target in scene.targets(MODEL)]
    optimizer = SGD(parameter_groups(model, OptimizerSettings()), lr=LEARNING_RATE, momentum=0.9)

    def losses() -> dict[str, torch.Tensor]:
        with torch.autocast(device, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            found: dict[str, torch.Tensor] = model(images, targets)
        return found

    return lambda: step(losses, optimizer)


def detectron2(scene: Scene, device: str) -> Callable[[], Losses]:
    theirs = detectron2_model(scene, MODEL).train().to(device)
    from detectron2.structures import BitMasks, Boxes, Instances
    from detectron2.utils.events import EventStorage

    inputs = detectron2_inputs(scene, MODEL)
    for each, target in zip(inputs, scene.targets(MODEL), strict=True):
        objects = Instances((scene.height, scene.width))
        objects.gt_boxes = Boxes(target.boxes)
        objects.gt_classes = target.labels
        objects.gt_masks = BitMasks(target.masks)
        each["instances"] = objects
    trained = [p for p in theirs.parameters() if p.requires_grad]
    optimizer = SGD(trained, lr=LEARNING_RATE, momentum=0.9, weight_decay=1e-4)

    def run() -> Losses:
        with EventStorage():
            losses = step(lambda: theirs(inputs), optimizer)
        return {_OUR_NAMES.get(name, name): loss for name, loss in losses.items()}

    return run


def step(compute: Callable[[], dict[str, torch.Tensor]], optimizer: SGD) -> Losses:
    torch.manual_seed(0)
    optimizer.zero_grad()
    losses = compute()
    torch.stack(list(losses.values())).sum().backward()
    optimizer.step()
    return {name: loss.item() for name, loss in losses.items()}


def compare(ours: Losses, theirs: Losses) -> dict[str, float]:
    assert set(ours) == set(theirs)
    largest = max(abs(ours[name] - theirs[name]) / theirs[name] for name in ours)
    assert largest < 1e-3, f"losses differ by {largest:.2%}: {ours} and {theirs}"
    return {"largest_relative_difference_of_a_loss": largest}
