"""Every kind of model has the CPU's losses and predictions on a GPU."""

from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.gpu_check.one_model import Example, make_example, prediction, step
from kinds_of_models import draw_few, kinds
from pointrend_repro.config.papers import list_papers
from pointrend_repro.experiments.loading import load_grid

pytestmark = [pytest.mark.needs_gpu, pytest.mark.usefixtures("same_draws")]

GRID = load_grid("smoke", papers=list_papers())
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def few_images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return draw_few(GRID, tmp_path_factory.mktemp("few"))


@pytest.fixture(params=list(kinds(GRID)), ids="-".join)
def example(request: pytest.FixtureRequest, few_images: dict[str, Any]) -> Example:
    dataset, variant = request.param
    return make_example(GRID.training_settings(dataset, variant), few_images[dataset])


def test_losses_and_gradients_are_those_of_the_cpu(example: Example, device: torch.device) -> None:
    here = example.model()
    there = example.model().to(device)
    expected, found = step(here, example, CPU), step(there, example, device)
    assert set(found) == set(expected)
    for name, loss in found.items():
        assert loss.device.type == device.type
        # Rounding changes which of nearly equal proposals and points are sampled.
        torch.testing.assert_close(loss.cpu(), expected[name], rtol=1e-2, atol=1e-4)
    trained = [name for name, p in here.named_parameters() if p.grad is not None]
    assert [name for name, p in there.named_parameters() if p.grad is not None] == trained
    squares = [
        sum(float(p.grad.square().sum()) for p in model.parameters() if p.grad is not None)
        for model in (here, there)
    ]
    assert squares[1] == pytest.approx(squares[0], rel=0.1)


def test_the_prediction_is_that_of_the_cpu(example: Example, device: torch.device) -> None:
    if not example.predicts:
        pytest.skip("is given boxes, which predict_image does not take")
    here, there = (prediction(example.model().to(each), example) for each in (CPU, device))
    assert set(here) == set(there)
    if "scores" not in here:
        assert np.mean(here["labels"] == there["labels"]) > 0.99
        return
    counts = len(here["scores"]), len(there["scores"])
    assert abs(counts[0] - counts[1]) <= 1 + 0.05 * counts[0], counts
    some = min(counts)
    np.testing.assert_allclose(there["scores"][:some], here["scores"][:some], atol=2e-3)


def test_in_bf16_losses_are_nearly_the_same(example: Example, device: torch.device) -> None:
    model = example.model().to(device)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    plain = step(model, example, device)
    model.load_state_dict(weights)  # batch normalisation has learnt statistics
    in_bf16 = step(model, example, device, "bf16")
    assert set(in_bf16) == set(plain)
    for name, loss in in_bf16.items():
        assert loss.dtype is torch.float32, name
    # Their sum alone: a loss of the few boxes of so small a batch depends on which are sampled.
    total, wanted = (float(sum(losses.values())) for losses in (in_bf16, plain))
    assert total == pytest.approx(wanted, rel=0.15)
    assert all(p.dtype is torch.float32 for p in model.parameters())
    if example.predicts:
        for name, array in prediction(model, example, "bf16").items():
            assert array is None or np.isfinite(array).all(), name


def test_channels_last_weights_change_no_loss(example: Example, device: torch.device) -> None:
    model = example.model().to(device)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    plain = step(model, example, device)
    model.load_state_dict(weights)
    model.to(memory_format=torch.channels_last)
    for name, loss in step(model, example, device).items():
        torch.testing.assert_close(loss, plain[name], rtol=1e-2, atol=1e-4)
