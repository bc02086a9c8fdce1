"""The parts of semantic subdivision that take shortcuts, beside what they are short for."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from small_semantic import POINTREND, random_batch, small_deeplab, small_semantic_fpn

from pointrend_repro.modeling.precision import computing_in
from pointrend_repro.modeling.semantic import doubling, point_refine, selection
from pointrend_repro.modeling.semantic.doubling import doubled
from pointrend_repro.modeling.semantic.point_refine import (
    PointRefiner,
    refined_labels,
    refinement_steps,
)
from pointrend_repro.modeling.semantic.ranking import (
    logit_uncertainty,
    most_likely,
    probability_uncertainty,
    top_two,
)
from pointrend_repro.modeling.semantic.selection import uncertain_cells
from pointrend_repro.settings.semantic import SemanticInferenceSettings


def seeded(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=25, deadline=None)
@given(classes=st.integers(2, 20), seed=st.integers(0, 10**6))
def test_ranking_is_that_of_topk_and_argmax(classes: int, seed: int) -> None:
    scores = (2 * seeded(2, classes, 5, 6, seed=seed)).round()  # many ties
    wanted = scores.topk(2, dim=1).values.unbind(1)
    assert all(torch.equal(a, b) for a, b in zip(top_two(scores), wanted, strict=True))
    lowest = (scores == scores.amax(dim=1, keepdim=True)).int().argmax(dim=1)
    assert torch.equal(most_likely(scores), lowest.to(torch.uint8))


@pytest.mark.parametrize("uncertainty", [logit_uncertainty, probability_uncertainty])
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (7, 4), (16, 16)])
def test_doubling_by_strips_is_interpolation(
    size: tuple[int, int], uncertainty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doubling, "_CELLS_A_THREAD", 3 * size[1])  # the last strip is smaller
    logits = 3 * seeded(2, 5, *size)
    wanted = F.interpolate(logits, scale_factor=2, mode="bilinear")
    found = doubled(logits, uncertainty)
    torch.testing.assert_close(found.uncertainty, uncertainty(wanted), atol=1e-5, rtol=1e-5)
    assert torch.equal(found.labels, most_likely(wanted))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 600), in_order=st.booleans())
def test_the_most_uncertain_cells_are_found_in_the_order_of_memory(
    seed: int, count: int, in_order: bool
) -> None:
    height, width = 40, 65
    values = torch.randperm(2 * height * width, generator=torch.Generator().manual_seed(seed))
    if in_order:
        values = values.sort().values
    uncertainty = values.float().view(2, height, width)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "_LARGE", 1000)
        index, points = uncertain_cells(uncertainty, count)
    wanted = uncertainty.flatten(1).topk(count, dim=1).indices.sort(dim=1).values
    assert torch.equal(index, wanted)
    y, x = divmod(int(index[1, -1]), width)
    assert points[1, -1].tolist() == pytest.approx([(x + 0.5) / width, (y + 0.5) / height])


def test_a_threshold_that_too_few_pass_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "_LARGE", 1000)
    uncertainty = torch.zeros(1, 64, 64)
    uncertainty.view(-1)[::64] = torch.arange(64).float()  # what the threshold is taken from
    index, _ = uncertain_cells(uncertainty, 100)
    assert len(index[0].unique()) == 100
    assert set(range(64, 4096, 64)) < set(index[0].tolist())


@pytest.mark.parametrize("points", [5, 100, 10**6], ids=["few", "the first grid", "all"])
@pytest.mark.parametrize("size", [(5, 6), (10, 12), (40, 48)])
def test_labels_are_those_of_the_last_step(size: tuple[int, int], points: int) -> None:
    coarse, weight = 2 * seeded(2, 3, 5, 6), seeded(3, 2, seed=1)

    def predict(where: torch.Tensor) -> torch.Tensor:
        return torch.sin(9 * where @ weight.t()).transpose(1, 2)

    how = {"size": size, "points_per_step": points, "uncertainty": logit_uncertainty}
    steps = [coarse] + [s.logits for s in refinement_steps(coarse, predict, **how)]
    assert torch.equal(refined_labels(coarse, predict, **how), most_likely(steps[-1]))
    assert all(a.shape[2] < b.shape[2] for a, b in pairwise(steps))
    with pytest.raises(ValueError, match="power of two"):
        refined_labels(coarse, predict, **how | {"size": (15, 18)})


@pytest.mark.parametrize("make", [small_deeplab, small_semantic_fpn])
def test_images_that_need_no_resizing_get_the_same_labels(make) -> None:
    """Their labels are made without logits of full resolution; those of other sizes are not."""
    model = make(POINTREND).eval()
    images, _ = random_batch((64, 96), (64, 96))
    few = SemanticInferenceSettings(points_per_step=90)
    wanted = model.refinement(images, few)[-1].logits.argmax(dim=1)
    found = model.predict(images, few)
    assert [tuple(one.shape) for one in found] == [(64, 96)] * 2
    assert (torch.stack(found) != wanted).float().mean() < 0.001
    larger = model.predict(images, few, [(128, 192)] * 2)
    assert [tuple(one.shape) for one in larger] == [(128, 192)] * 2


def test_points_of_one_image_may_be_divided_among_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    refiner = PointRefiner(4, 3, POINTREND)
    coarse, fine, points = torch.randn(1, 3, 4, 6), torch.randn(1, 4, 8, 12), torch.rand(1, 12, 2)
    with torch.no_grad():
        wanted = refiner._point_logits(coarse, fine, points)
        monkeypatch.setattr(point_refine, "_parts", lambda _: 3)
        torch.testing.assert_close(refiner._point_logits(coarse, fine, points), wanted)


@pytest.mark.parametrize("make", [small_deeplab, small_semantic_fpn])
@pytest.mark.parametrize("scale", [1, 2], ids=["labels only", "all logits"])
def test_a_model_in_bf16_refines_sparse_grids(make, scale: int) -> None:
    model = make(POINTREND).eval()
    images, _ = random_batch((64, 96))
    few = SemanticInferenceSettings(points_per_step=90)
    sizes = [(64 * scale, 96 * scale)]
    (wanted,) = model.predict(images, few, sizes)
    with computing_in("bf16", torch.device("cpu")):
        (found,) = model.predict(images, few, sizes)
    assert (found == wanted).float().mean() > 0.9


def test_points_are_predicted_in_float32_whatever_the_rest_is() -> None:
    """In bfloat16 one pixel in twenty would have two best classes."""
    torch.manual_seed(0)
    refiner = PointRefiner(4, 3, POINTREND).eval()
    how = {"size": (32, 48), "points_per_step": 60}
    coarse, fine = torch.randn(1, 3, 4, 6), torch.randn(1, 4, 8, 12)
    with torch.no_grad():
        labels = refiner.labels(coarse, fine, **how)
        steps = [step.logits for step in refiner.steps(coarse, fine, **how)]
        with computing_in("bf16", torch.device("cpu")):
            assert torch.equal(refiner.labels(coarse, fine, **how), labels)
            again = [step.logits for step in refiner.steps(coarse, fine, **how)]
    assert len(steps) == 3
    assert all(torch.equal(a, b) for a, b in zip(again, steps, strict=True))
