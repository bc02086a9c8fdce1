import numpy as np
import pytest
import torch
from pydantic import ValidationError
from small_semantic import CLASSES, FEW_POINTS, random_batch, small_deeplab, small_trunk

from pointrend_repro.modeling.semantic.deeplabv3 import ASPP
from pointrend_repro.modeling.semantic.losses import hard_pixel_cross_entropy
from pointrend_repro.modeling.semantic.model import SemanticModel
from pointrend_repro.settings.semantic import (
    DeepLabV3Settings,
    SemanticInferenceSettings,
    SemanticModelSettings,
)

AT_8 = SemanticInferenceSettings(output_stride=8)


def aspp(**changes: object) -> ASPP:
    torch.manual_seed(0)
    values = {"kind": "deeplabv3", "channels": 4, "norm": "bn", "dropout": 0.0}
    return ASPP(3, DeepLabV3Settings.model_validate(values | changes)).eval()


def test_dilations_double_at_output_stride_8() -> None:
    module = aspp()
    assert [c.dilation for c in module.convs] == [(1, 1), (6, 6), (12, 12), (18, 18)]
    module.set_output_stride(8)
    assert [c.dilation for c in module.convs] == [(1, 1), (12, 12), (24, 24), (36, 36)]


def test_a_cell_sees_the_cells_at_the_dilations_and_its_pooling_window() -> None:
    module = aspp(image_pooling_px=(48, 16))  # windows of 3x1 cells
    features = torch.rand(1, 3, 41, 43, requires_grad=True)
    module(features)[0, :, 20, 21].sum().backward()
    assert features.grad is not None
    y, x = np.nonzero(features.grad[0].abs().sum(0).numpy())
    seen = set(zip((y - 20).tolist(), (x - 21).tolist(), strict=True))
    taps = {(i * d, j * d) for d in (6, 12, 18) for i in (-1, 0, 1) for j in (-1, 0, 1)}
    assert taps <= seen
    assert all(abs(i) <= 2 and abs(j) <= 1 for i, j in seen - taps)


def test_image_pooling_averages_windows() -> None:
    module = aspp(image_pooling_px=(48, 32))
    features = torch.rand(1, 3, 6, 7)
    means = module._window_means(features)
    assert means.shape == (1, 3, 4, 6)
    for i, j in ((0, 0), (3, 5), (1, 2)):
        wanted = features[0, :, i : i + 3, j : j + 2].mean(dim=(1, 2))
        torch.testing.assert_close(means[0, :, i, j], wanted)


@pytest.mark.parametrize("window", [None, (768, 768)])
def test_image_pooling_is_global_without_a_window_or_with_a_large_one(
    window: tuple[int, int] | None,
) -> None:
    features = torch.rand(1, 3, 6, 7)
    means = aspp(image_pooling_px=window)._window_means(features)
    torch.testing.assert_close(means, features.mean(dim=(2, 3), keepdim=True))


def test_the_window_stays_the_same_in_pixels_at_output_stride_8() -> None:
    module = aspp(image_pooling_px=(48, 32))
    module.set_output_stride(8)
    assert module._window_means(torch.rand(1, 3, 12, 14)).shape == (1, 3, 7, 11)


def test_output_stride_8_doubles_the_logits_and_leaves_the_model_as_it_was() -> None:
    model = small_deeplab().eval()
    images, _ = random_batch((48, 80))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    (coarse,) = model.refinement(images, FEW_POINTS)
    (fine,) = model.refinement(images, AT_8)
    assert coarse.logits.shape == (1, CLASSES, 3, 5)
    assert fine.logits.shape == (1, CLASSES, 6, 10)
    assert not torch.equal(model.predict(images, AT_8)[0], model.predict(images, FEW_POINTS)[0])
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    (again,) = model.refinement(images, FEW_POINTS)
    assert torch.equal(again.logits, coarse.logits)


def test_the_output_stride_is_restored_after_an_error() -> None:
    model = small_deeplab().eval()
    with pytest.raises(ValueError, match="empty"):
        model.predict([], AT_8)
    images, _ = random_batch((32, 32))
    assert model.refinement(images, FEW_POINTS)[0].logits.shape[2:] == (2, 2)


def test_logits_at_8_hold_those_at_16() -> None:
    """All convolutions reach as far as in training; image pooling alone averages other cells."""
    settings = small_deeplab(norm="bn").settings
    backbone = small_trunk(norm="bn", output_stride=16, multi_grid=(1, 2))
    model = SemanticModel(settings.model_copy(update={"backbone": backbone}), CLASSES).eval()
    silence_image_pooling(model.decoder.aspp)
    images, _ = random_batch((64, 96))
    (at_16,) = model.refinement(images, FEW_POINTS)
    (at_8,) = model.refinement(images, AT_8)
    torch.testing.assert_close(at_8.logits[..., ::2, ::2], at_16.logits, atol=1e-7, rtol=1e-5)


def silence_image_pooling(module: ASPP) -> None:
    with torch.no_grad():
        module.project.weight[:, -module.settings.channels :] = 0


def test_hard_pixels_are_the_worst_of_all_pixels() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 4, 5, 6), torch.randint(4, (2, 5, 6))
    labels[0, :2] = 255
    losses = []
    for n, y, x in np.ndindex(2, 5, 6):
        label = int(labels[n, y, x])
        probability = logits[n, :, y, x].softmax(0)
        losses.append(0.0 if label == 255 else -float(probability[label].log()))
    worst = sorted(losses, reverse=True)[:12]  # 20 % of 60
    found = hard_pixel_cross_entropy(logits, labels, 0.2)
    assert float(found) == pytest.approx(np.mean(worst), rel=1e-5)


@pytest.mark.parametrize("fraction", [0.2, None])
def test_nothing_but_ignored_pixels_gives_a_loss_of_zero(fraction: float | None) -> None:
    model = small_deeplab(hard_pixel_fraction=fraction)
    images, labels = random_batch((32, 48))
    losses = model(images, [torch.full_like(labels[0], 255)])
    losses["loss_sem_seg"].backward()
    assert losses["loss_sem_seg"].item() == 0.0
    gradients = [p.grad for p in model.parameters()]
    assert all(g is not None and not g.any() for g in gradients)


def test_gradients_reach_every_parameter() -> None:
    model = small_deeplab()
    images, labels = random_batch((40, 60), (64, 33))
    sum(model(images, labels).values()).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_dropout_is_for_training_only() -> None:
    model = small_deeplab(dropout=0.5)
    images, _ = random_batch((32, 48))
    once, again = (model.train().refinement(images, FEW_POINTS)[0].logits for _ in range(2))
    assert not torch.equal(once, again)
    once, again = (model.eval().refinement(images, FEW_POINTS)[0].logits for _ in range(2))
    assert torch.equal(once, again)


def test_settings_refuse_an_output_stride_that_does_not_fit() -> None:
    with pytest.raises(ValidationError, match=r"output_stride 32 must be 16 or 8"):
        SemanticModelSettings(backbone=small_trunk(), decoder=DeepLabV3Settings(kind="deeplabv3"))
