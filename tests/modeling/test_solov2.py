"""SOLOv2's losses, matrix NMS and choice of objects, against loops and formulas."""

import math
from typing import Literal

import pytest
import torch
from small_solov2 import BACKBONE, NUM_CLASSES, make, random_image, rectangles
from torch import Tensor

from pointrend_repro.base.errors import UserError
from pointrend_repro.modeling.precision import computing_in
from pointrend_repro.modeling.solov2 import choosing
from pointrend_repro.modeling.solov2.choosing import Cells, choose_objects, highest_around
from pointrend_repro.modeling.solov2.head import with_coordinates
from pointrend_repro.modeling.solov2.losses import class_loss, dice_loss
from pointrend_repro.modeling.solov2.matrix_nms import decayed_scores
from pointrend_repro.modeling.solov2.model import SOLOv2
from pointrend_repro.settings.solov2 import (
    SoloHeadSettings,
    SoloInferenceSettings,
    SoloModelSettings,
)

EVERYTHING = SoloInferenceSettings(score_threshold=0, decayed_threshold=0, candidates=30)


def overlap(a: Tensor, b: Tensor) -> float:
    return float((a & b).sum() / (a | b).sum())


def slow_decay(
    masks: Tensor, scores: Tensor, labels: Tensor, decay: str, sigma: float
) -> list[float]:
    """Formula 5 of the paper, pair by pair."""

    def f(iou: float) -> float:
        return math.exp(-sigma * iou**2) if decay == "gaussian" else 1 - iou

    found = []
    for j in range(len(masks)):
        factor = 1.0
        for i in range(j):
            if labels[i] != labels[j]:
                continue
            better = [overlap(masks[k], masks[i]) for k in range(i) if labels[k] == labels[i]]
            factor = min(factor, f(overlap(masks[i], masks[j])) / f(max(better, default=0.0)))
        found.append(float(scores[j]) * factor)
    return found


@pytest.mark.parametrize("decay", ["gaussian", "linear"])
def test_matrix_nms_is_formula_5(decay: Literal["gaussian", "linear"]) -> None:
    torch.manual_seed(0)
    masks = torch.rand(12, 9, 9) > 0.4
    scores = torch.rand(12).sort(descending=True).values
    labels = torch.randint(0, 3, (12,))
    found = decayed_scores(masks, scores, labels, decay=decay, sigma=2.0)
    wanted = slow_decay(masks, scores, labels, decay, 2.0)
    torch.testing.assert_close(found, torch.tensor(wanted))


def test_of_three_equal_masks_one_is_left_by_linear_decay() -> None:
    masks = torch.ones(3, 4, 4, dtype=torch.bool)
    scores = torch.tensor([0.9, 0.8, 0.7])
    found = decayed_scores(masks, scores, torch.zeros(3), decay="linear", sigma=2.0)
    assert found.tolist() == [pytest.approx(0.9), 0, 0]


def test_a_cell_is_left_out_where_one_above_or_left_is_higher() -> None:
    torch.manual_seed(0)
    scores = torch.rand(2, 3, 5, 5)
    found = highest_around(scores)
    for y in range(5):
        for x in range(5):
            around = scores[:, :, max(y - 1, 0) : y + 1, max(x - 1, 0) : x + 1].amax(dim=(2, 3))
            here = scores[:, :, y, x]
            torch.testing.assert_close(found[:, :, y, x], here * (here == around))


def test_losses_are_their_formulas() -> None:
    torch.manual_seed(0)
    logits, masks = torch.randn(2, 3, 4), (torch.rand(2, 3, 4) > 0.5).float()
    for found, x, y in zip(dice_loss(logits, masks), logits.sigmoid(), masks, strict=True):
        wanted = 1 - 2 * (x * y).sum() / ((x**2).sum() + (y**2).sum() + 2e-3)
        torch.testing.assert_close(found, wanted)
    of_cells, labels = torch.randn(5, 2), torch.tensor([0, 2, 1, 2, 2])
    total = 0.0
    for row, label in zip(of_cells.sigmoid(), labels, strict=True):
        for k, p in enumerate(row.tolist()):
            right, share = (p, 0.25) if k == label else (1 - p, 0.75)
            total -= share * (1 - right) ** 2 * math.log(right)
    assert float(class_loss(of_cells, labels, 2)) == pytest.approx(total / 3, rel=1e-5)


def test_a_batch_without_objects_gives_every_parameter_a_gradient() -> None:
    model = make()
    losses = model([random_image(40, 50)], [rectangles([], [], 40, 50)])
    assert losses["loss_mask"].item() == 0
    torch.stack(list(losses.values())).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_losses_of_a_batch_count_masks_of_all_its_images() -> None:
    """Of two images of one size, the sum over masks is divided by their common number."""
    model = make()
    images = [random_image(64, 64), random_image(64, 64)]
    targets = [
        rectangles([[2, 2, 40, 40]], [0], 64, 64),
        rectangles([[5, 10, 60, 60], [0, 0, 12, 12]], [1, 2], 64, 64),
    ]
    with torch.no_grad():
        both = model(images, targets)["loss_mask"]
        alone = [model([i], [t])["loss_mask"] for i, t in zip(images, targets, strict=True)]
    counts = [count_cells(model, target) for target in targets]
    wanted = sum(a * n for a, n in zip(alone, counts, strict=True)) / sum(counts)
    torch.testing.assert_close(both, wanted)


def count_cells(model: SOLOv2, target: object) -> int:
    from pointrend_repro.modeling.solov2.targets import image_targets

    levels = image_targets(target, (64, 64), NUM_CLASSES, model.settings.head)  # type: ignore[arg-type]
    return sum(int((level.labels < NUM_CLASSES).sum()) for level in levels)


def test_coordinates_go_from_minus_one_to_one() -> None:
    found = with_coordinates(torch.zeros(2, 1, 3, 5))
    assert found.shape == (2, 3, 3, 5)
    assert found[1, 1, 0].tolist() == [-1, -0.5, 0, 0.5, 1]
    assert found[0, 2, :, 0].tolist() == [-1, 0, 1]


def test_objects_do_not_depend_on_how_many_masks_are_made_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, image = make(), random_image(70, 50)
    (whole,) = model.detect([image], EVERYTHING)
    monkeypatch.setattr(choosing, "_AT_ONCE", 7)
    (found,) = model.detect([image], EVERYTHING)
    assert len(whole.scores) == 30
    torch.testing.assert_close(found.scores, whole.scores)
    assert found.labels.equal(whole.labels)
    torch.testing.assert_close(found.probabilities, whole.probabilities)


def test_candidates_are_sure_large_enough_and_scored_by_their_pixels() -> None:
    """One channel: the mask's logits are the kernel times the map."""
    mask_map = torch.full((1, 4, 4), -1.0)
    mask_map[0, :2] = torch.tensor([2.0, 2.0, 2.0, 0.5])
    scores = torch.tensor([[0.9, 0.0], [0.8, 0.3], [0.05, 0.0], [0.0, 0.7]])
    kernels = torch.tensor([[1.0], [-1.0], [1.0], [2.0]])
    least = torch.tensor([7.0, 8.0, 7.0, 7.0])
    found = choose_objects(Cells(scores, kernels, least), mask_map, SoloInferenceSettings())
    # The second cell's mask has eight pixels, not more; the third is not sure enough.
    pixels = torch.sigmoid(torch.tensor([2.0, 0.5, 4.0, 1.0]))
    means = [float(pixels[i] * 6 + pixels[i + 1] * 2) / 8 for i in (0, 2)]
    assert found.labels.tolist() == [0, 1]
    assert found.scores.tolist() == pytest.approx([0.9 * means[0], 0.7 * means[1]])
    torch.testing.assert_close(found.probabilities[0], mask_map[0].sigmoid())


def test_an_image_of_one_pixel_and_nothing_sure() -> None:
    model = make()
    (found,) = model.detect([random_image(1, 1)], EVERYTHING)
    assert found.probabilities.shape[1:] == (8, 8)
    (nothing,) = model.detect([random_image(1, 1)], SoloInferenceSettings(score_threshold=0.9))
    assert len(nothing.scores) == len(nothing.probabilities) == 0


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="grids has 2 levels"):
        SoloHeadSettings(grids=(4, 2))
    with pytest.raises(ValueError, match="from small to large"):
        SoloHeadSettings(ranges_px=((9, 1), (1, 2), (1, 2), (1, 2), (1, 2)))
    settings = SoloModelSettings.model_validate({"backbone": BACKBONE | {"output_stride": 16}})
    with pytest.raises(UserError, match="output_stride 16"):
        SOLOv2(settings, num_classes=1)


def test_losses_are_float32_where_convolutions_are_bfloat16() -> None:
    model, image = make(), random_image(64, 64)
    target = rectangles([[2, 2, 40, 40]], [0], 64, 64)
    with torch.no_grad():
        exact = model([image], [target])
        with torch.autocast("cpu", torch.bfloat16):
            rough = model([image], [target])
            (found,) = model.detect([image], EVERYTHING)
    for name, loss in rough.items():
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(exact[name].item(), rel=0.02)
    assert found.scores.dtype == torch.float32


@pytest.mark.parametrize("decay", ["gaussian", "linear"])
def test_a_model_in_bf16_makes_and_compares_masks_in_float32(
    decay: Literal["gaussian", "linear"],
) -> None:
    torch.manual_seed(0)
    mask_map = torch.randn(8, 20, 30)
    cells = Cells(torch.rand(60, 3), torch.randn(60, 8), torch.full((60,), 8.0))
    settings = SoloInferenceSettings(decay=decay)
    wanted = choose_objects(cells, mask_map, settings)
    with computing_in("bf16", mask_map.device):
        found = choose_objects(cells, mask_map, settings)
    assert len(wanted.scores) > 10
    assert found.labels.equal(wanted.labels)
    assert found.scores.equal(wanted.scores)
    assert found.probabilities.equal(wanted.probabilities)
