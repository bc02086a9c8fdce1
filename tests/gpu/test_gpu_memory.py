"""What a GPU's allocator says: masks take little memory a box, and nothing stays behind."""

import gc

import pytest
import torch

from benchmarks.inputs import mask_inputs
from pointrend_repro.checkpoints.loading import new_model
from pointrend_repro.settings.instances import InferenceSettings

pytestmark = pytest.mark.needs_gpu


@pytest.fixture(autouse=True)
def needs_an_allocator(device: torch.device) -> None:
    if device.type != "cuda":
        pytest.skip("the CPU's allocator does not say how much it has given out")


def peak_of_masks(boxes: int, device: torch.device) -> int:
    inputs = mask_inputs(
        num_boxes=boxes, num_classes=80, height=800, width=1216, device=device.type
    )
    settings = InferenceSettings(output_resolution=224, points_per_step=784)
    gc.collect()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    with torch.no_grad():
        inputs.head.predict({"p2": inputs.p2}, [inputs.boxes], [inputs.labels], settings)
    return torch.cuda.max_memory_allocated() - before


def test_masks_of_more_boxes_take_little_more_than_themselves(device: torch.device) -> None:
    peak_of_masks(300, device)  # what libraries allocate when they are first used
    few, many = peak_of_masks(300, device), peak_of_masks(900, device)
    masks = 600 * 224 * 224 * 4
    # The coarse logits of 80 classes, and both logits and boxes while they are put together.
    assert many - few < 2 * masks


def test_predictions_leave_nothing_on_the_gpu(device: torch.device) -> None:
    model = new_model("pointrend_r50_fpn_coco").model.eval().to(device)
    image = torch.rand(3, 256, 320, device=device) * 255
    left = []
    for _ in range(4):
        with torch.no_grad():
            found = model.detect([image], InferenceSettings(), None)
        del found
        gc.collect()
        left.append(torch.cuda.memory_allocated())
    assert left[3] == left[1]
