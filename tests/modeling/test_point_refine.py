from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_semantic import CLASSES, POINTREND, random_batch, small_deeplab, small_semantic_fpn

from pointrend_repro.modeling.points import point_sample, regular_grid
from pointrend_repro.modeling.semantic.point_refine import (
    PointRefiner,
    RefinementStep,
    labels_at_points,
    logit_uncertainty,
    probability_uncertainty,
    refinement_steps,
)
from pointrend_repro.settings.semantic import SemanticInferenceSettings, SemanticPointRendSettings


class CountingPredictor:
    """Predicts a function of the place, and remembers where it was asked."""

    def __init__(self, classes: int = 3) -> None:
        self.classes = classes
        self.counts: list[int] = []

    def __call__(self, points: torch.Tensor) -> torch.Tensor:
        self.counts.append(points.shape[1])
        x, y = points.unbind(2)
        return torch.stack([torch.sin(9 * x + k) + torch.cos(7 * y * k) for k in range(3)], dim=1)


def subdivide(
    coarse: torch.Tensor, predictor: CountingPredictor, size: tuple[int, int], points: int
) -> list[RefinementStep]:
    return list(
        refinement_steps(
            coarse,
            predictor,
            size=size,
            points_per_step=points,
            uncertainty=probability_uncertainty,
        )
    )


@pytest.mark.parametrize(
    ("coarse", "total"),
    [((64, 128), 4 * 8096), ((128, 256), 3 * 8096), ((256, 512), 2 * 8096)],
    ids=["DeepLabV3", "SemanticFPN P3-P5", "SemanticFPN P2-P5"],
)
def test_1024x2048_takes_at_most_32k_points(coarse: tuple[int, int], total: int) -> None:
    """Section 5: "reaches 1024x2048 resolution by making predictions for only 32k points"."""
    predictor = CountingPredictor()
    per_step = SemanticInferenceSettings().points_per_step
    steps = subdivide(torch.randn(1, 3, *coarse), predictor, (1024, 2048), per_step)
    assert steps[-1].logits.shape == (1, 3, 1024, 2048)
    assert sum(predictor.counts) == total <= 32 * 1024
    assert [s.points.shape[1] for s in steps] == predictor.counts


def test_models_refine_up_to_the_padded_input() -> None:
    for model, first in ((small_deeplab(POINTREND), 16), (small_semantic_fpn(POINTREND), 4)):
        images, _ = random_batch((90, 64))
        steps = model.eval().refinement(images, SemanticInferenceSettings(points_per_step=90))
        sides = [(s.logits.shape[2], s.logits.shape[3]) for s in steps]
        assert sides[0] == (96 // first, 64 // first)
        assert sides[-1] == (96, 64)
        assert all(b == (2 * a[0], 2 * a[1]) for a, b in pairwise(sides))
        assert [s.points.shape[1] for s in steps] == [0] + [90] * (len(steps) - 1)


def test_predicting_all_points_is_dense_prediction() -> None:
    predictor = CountingPredictor()
    (step,) = subdivide(torch.randn(2, 3, 3, 5), predictor, (12, 20), 12 * 20)
    grid = regular_grid(12, 20).expand(2, -1, -1)
    assert torch.equal(step.logits, predictor(grid).view(2, 3, 12, 20))
    assert predictor.counts[0] == 240, "steps before the dense one are void and not computed"


def test_points_left_alone_keep_the_interpolated_logits() -> None:
    torch.manual_seed(0)
    coarse, predictor = torch.randn(1, 3, 4, 6), CountingPredictor()
    (step,) = subdivide(coarse, predictor, (8, 12), 10)
    interpolated = torch.nn.functional.interpolate(coarse, scale_factor=2, mode="bilinear")
    changed = (step.logits != interpolated).any(dim=1)[0]
    assert changed.sum() == 10
    chosen = {(int(y * 8), int(x * 12)) for x, y in step.points[0].tolist()}
    assert chosen == {(int(y), int(x)) for y, x in changed.nonzero()}
    order = probability_uncertainty(interpolated)[0].flatten().argsort(descending=True)[:10]
    assert chosen == {(int(i) // 12, int(i) % 12) for i in order}
    wanted = predictor(step.points)
    found = step.logits[0][:, changed]
    assert torch.equal(found.sort(dim=1).values, wanted[0].sort(dim=1).values)


@pytest.mark.parametrize("size", [(12, 12), (16, 8), (2, 2)])
def test_sizes_that_are_no_doublings_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="power of two"):
        subdivide(torch.zeros(1, 3, 4, 4), CountingPredictor(), size, 4)


def slow_uncertainty(values: np.ndarray) -> float:
    ranked = sorted(values.tolist(), reverse=True)
    return ranked[1] - ranked[0]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.integers(2, 19), scale=st.floats(0.01, 30))
def test_uncertainty_is_second_minus_first(seed: int, classes: int, scale: float) -> None:
    logits = scale * torch.randn(2, classes, 3, generator=torch.Generator().manual_seed(seed))
    by_logit, by_probability = logit_uncertainty(logits), probability_uncertainty(logits)
    for n, p in np.ndindex(2, 3):
        column = logits[n, :, p].numpy().astype(np.float64)
        exponentials = np.exp(column - column.max())
        assert float(by_logit[n, p]) == pytest.approx(slow_uncertainty(column), abs=1e-4)
        assert float(by_probability[n, p]) == pytest.approx(
            slow_uncertainty(exponentials / exponentials.sum()), abs=1e-5
        )


def test_probabilities_and_logits_rank_points_differently() -> None:
    """The paper's reading and detectron2's are two settings because they are two orders."""
    logits = torch.tensor([[[5.0, 2.0], [4.0, 0.9], [-9.0, 0.9]]])
    assert logit_uncertainty(logits)[0].argmax() == 0  # apart by 1.0, not 1.1
    assert probability_uncertainty(logits)[0].argmax() == 1  # 0.40 apart, not 0.46


@pytest.mark.parametrize("kind", ["probabilities", "logits"])
def test_training_points_lie_where_the_coarse_prediction_is_unsure(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    values = {"train_points": 40, "importance_ratio": 1.0, "oversample_ratio": 20, "channels": 8}
    refiner = PointRefiner(
        2, 3, SemanticPointRendSettings.model_validate(values | {"uncertainty": kind})
    )
    coarse = torch.full((1, 3, 8, 8), -9.0)
    coarse[:, 0, :, :4], coarse[:, 1, :, 4:] = 9.0, 9.0  # a vertical border in the middle
    asked: list[torch.Tensor] = []
    forward = refiner._point_logits
    monkeypatch.setattr(
        refiner,
        "_point_logits",
        lambda c, f, points: (asked.append(points), forward(c, f, points))[1],
    )
    refiner.loss(coarse, torch.randn(1, 2, 16, 16), torch.zeros(1, 32, 32, dtype=torch.int64))
    assert asked[0].shape == (1, 40, 2)
    assert (asked[0][..., 0] - 0.5).abs().max() < 0.06


@settings(max_examples=20, deadline=None)
@given(height=st.integers(1, 9), width=st.integers(1, 9), seed=st.integers(0, 10**6))
def test_a_point_has_the_label_of_its_pixel(height: int, width: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(256, (2, height, width), generator=generator)
    points = torch.rand(2, 7, 2, generator=generator)
    found = labels_at_points(labels, points)
    for n, p in np.ndindex(2, 7):
        x, y = points[n, p].tolist()
        assert found[n, p] == labels[n, int(y * height), int(x * width)]


def test_the_lower_right_corner_is_in_the_last_pixel() -> None:
    labels = torch.arange(6).view(1, 2, 3)
    assert labels_at_points(labels, torch.ones(1, 1, 2)).tolist() == [[5]]


@pytest.mark.parametrize("in_each_layer", [True, False])
def test_the_coarse_prediction_enters_the_layers_that_the_setting_says(in_each_layer: bool) -> None:
    values = {"train_points": 4, "channels": 16, "coarse_in_each_layer": in_each_layer}
    head = PointRefiner(7, CLASSES, SemanticPointRendSettings.model_validate(values)).point_head
    extra = CLASSES if in_each_layer else 0
    widths = [layer.in_channels for layer in head.layers]
    assert widths == [7 + CLASSES, 16 + extra, 16 + extra]
    assert head.predictor.in_channels == 16 + extra
    with torch.no_grad():
        for layer in (*head.layers, head.predictor):  # cut the path through the MLP's first layer
            layer.bias.zero_()
        head.layers[0].weight.zero_()
        fine, coarse = torch.randn(1, 7, 3), torch.randn(1, CLASSES, 3)
        assert bool(head(fine, coarse).any()) == in_each_layer


def test_the_point_loss_is_the_mean_over_points_that_count() -> None:
    torch.manual_seed(0)
    refiner = PointRefiner(2, 3, POINTREND)
    coarse, fine = torch.randn(2, 3, 4, 4), torch.randn(2, 2, 8, 8)
    labels = torch.randint(3, (2, 16, 16))
    labels[:, :8] = 255
    torch.manual_seed(5)
    loss = refiner.loss(coarse, fine, labels)
    torch.manual_seed(5)
    seen: list[torch.Tensor] = []
    with pytest.MonkeyPatch.context() as patch:
        original = refiner.point_head.forward
        patch.setattr(
            "pointrend_repro.modeling.semantic.point_refine.labels_at_points",
            lambda given, points: (seen.append(points), labels_at_points(given, points))[1],
        )
        refiner.loss(coarse, fine, labels)
    (points,) = seen
    logits = original(point_sample(fine, points), point_sample(coarse, points))
    losses = []
    for n, p in np.ndindex(2, POINTREND.train_points):
        x, y = points[n, p].tolist()
        label = int(labels[n, int(16 * y), int(16 * x)])
        if label != 255:
            losses.append(-float(logits[n, :, p].log_softmax(0)[label]))
    assert 0 < len(losses) < 2 * POINTREND.train_points
    assert float(loss) == pytest.approx(np.mean(losses), rel=1e-5)


def test_training_and_inference_predict_a_point_alike() -> None:
    """Predicting every pixel densely gives what training would compute at the pixel centres."""
    model = small_deeplab(POINTREND).eval()
    images, _ = random_batch((32, 48))
    coarse, last = model.refinement(images, SemanticInferenceSettings(points_per_step=32 * 48))
    assert model.refiner is not None
    fine = model.backbone(images)["res2"]
    grid = regular_grid(32, 48).unsqueeze(0)
    with torch.no_grad():
        wanted = model.refiner._point_logits(coarse.logits, fine, grid)
    torch.testing.assert_close(last.logits, wanted.view_as(last.logits))
