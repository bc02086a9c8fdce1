"""Every kind of model trains and predicts with all tensors on one device other than the CPU."""

from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.gpu_check.one_model import Example, make_example, prediction, step
from kinds_of_models import draw_few, kinds
from pointrend_repro.checkpoints.loading import new_model
from pointrend_repro.config.papers import list_papers
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.modeling.conv_norm import ConvNorm
from pointrend_repro.settings.instances import InferenceSettings
from pretend_gpu import GPU, OnGpu, counted, pretended_gpu

GRID = load_grid("smoke", papers=list_papers())


@pytest.fixture(scope="module")
def few_images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Each generated data set of preset smoke, with a few images."""
    return draw_few(GRID, tmp_path_factory.mktemp("few"))


def losses_and_gradients(
    model: torch.nn.Module, example: Example, device: torch.device
) -> dict[str, Any]:
    found: dict[str, Any] = step(model, example, device)
    found = {f"loss {name}": loss for name, loss in found.items()}
    return found | {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(("dataset", "variant"), list(kinds(GRID)))
def test_training_and_prediction_are_those_of_the_cpu(
    few_images: dict[str, Any], dataset: str, variant: str
) -> None:
    example = make_example(GRID.training_settings(dataset, variant), few_images[dataset])
    model = example.model()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    expected = losses_and_gradients(model, example, torch.device("cpu"))
    model.load_state_dict(weights)  # batch normalisation has learnt statistics
    found_here = prediction(model, example) if example.predicts else {}
    with pretended_gpu():
        there = example.model().to(GPU)
        there.load_state_dict({name: value.to(GPU) for name, value in weights.items()})
        found = losses_and_gradients(there, example, GPU)
        there.load_state_dict({name: value.to(GPU) for name, value in weights.items()})
        found_there = prediction(there, example) if example.predicts else {}
    assert set(found) == set(expected)
    for name, value in found.items():
        assert isinstance(value, OnGpu), name
        # Sums are in another order, since maps on a CPU are channels-last; gradients of narrow
        # models with random weights are too small to compare.
        if name.startswith("loss"):
            torch.testing.assert_close(value.there, expected[name], rtol=2e-3, atol=1e-5)
    assert set(found_there) == set(found_here)
    for name, array in found_here.items():
        assert np.shape(found_there[name]) == np.shape(array), name
    if "scores" in found_here:
        np.testing.assert_allclose(found_there["scores"], found_here["scores"], atol=1e-3)


def test_devices_do_not_mix() -> None:
    with pretended_gpu():
        x = torch.ones(3, device=GPU)
        with pytest.raises(RuntimeError, match="on the same device"):
            x + torch.ones(3)
        with pytest.raises(TypeError, match="can't convert"):
            x.numpy()
        assert (x + 1).cpu().tolist() == [2, 2, 2]
        assert x[torch.tensor([0, 2])].device == GPU  # as CUDA: indices may come from the host


def test_kernels_and_waits_are_counted() -> None:
    with pretended_gpu(), counted() as counts:
        x = torch.zeros(4, 4, device=GPU)
        y = (x.view(16) + 1).relu_().reshape(4, 4)
        assert counts.kernels == {"zeros": 1, "add": 1, "relu_": 1}
        assert not counts.waits
        assert float(y.sum()) == 16
        assert y[y > 0].numel() == 16
        y.cpu()
    assert counts.waits == {"_local_scalar_dense": 1, "index": 1, "_to_copy": 1}


def test_an_image_asks_a_gpu_for_no_more_than_it_did() -> None:
    """Budgets: what is measured today (docs/performance.md). Fewer is better; lower them then."""
    torch.manual_seed(0)
    model = new_model("pointrend_r50_fpn_coco").model.eval()
    for layer in (model.rpn.anchor_deltas, model.box_head.bbox_pred, model.box_head.cls_score):
        torch.nn.init.zeros_(layer.weight)  # else most boxes leave the image, or none is sure
    torch.nn.init.constant_(model.box_head.cls_score.bias[:1], 5.0)
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 192, 256), np.uint8))
    with pretended_gpu(), torch.no_grad():
        model, there = model.to(GPU), image.to(GPU)
        features = model.backbone([there])  # norms are folded into the weights once
        with counted() as of_trunk:
            model.backbone([there])
        with counted() as of_image:
            (found,) = model.detect([there], InferenceSettings(), None)
        with counted() as of_masks:
            model.mask_head.predict(features, [found.boxes], [found.labels], InferenceSettings())
    assert len(found.boxes) == 100
    assert not of_trunk.waits
    assert of_trunk.kernels.total() <= 140
    assert not of_masks.waits
    assert of_masks.kernels.total() <= 396
    assert of_image.kernels.total() <= 819
    assert of_image.waits.total() <= 4
    assert "_to_copy" not in of_image.waits  # nothing is copied to the host before the end


def test_folded_norms_follow_the_weights_and_change_no_number() -> None:
    torch.manual_seed(0)
    conv = ConvNorm(3, 4, 3, norm="frozen_bn").eval()
    conv.norm.running_mean.normal_()
    x = torch.rand(1, 3, 8, 8)

    def on_a_gpu() -> torch.Tensor:
        found: torch.Tensor = conv(x.to(GPU))
        return found.cpu()

    with pretended_gpu(), torch.no_grad():
        for change in (None, conv.weight, conv.norm.bias, conv.norm.running_var):
            conv.to("cpu")
            if change is not None:
                change.add_(0.5)
            expected = conv(x)
            conv.to(GPU)
            torch.testing.assert_close(on_a_gpu(), expected, rtol=0, atol=0)
            torch.testing.assert_close(on_a_gpu(), expected, rtol=0, atol=0)
        conv.weight.mul_(2)  # where it is
        conv.norm.bias.zero_()
        found = on_a_gpu()
        conv.to("cpu")
        torch.testing.assert_close(found, conv(x), rtol=0, atol=0)


def test_training_folds_norms_anew() -> None:
    conv = ConvNorm(3, 4, 3, norm="fixed_statistics_bn")
    with pretended_gpu():
        conv.to(GPU)
        x = torch.rand(1, 3, 8, 8, device=GPU)
        with torch.no_grad():
            conv.eval()(x)
        conv.train()(x).sum().backward()
    assert conv.weight.grad is not None
    assert conv.norm.weight.grad is not None
