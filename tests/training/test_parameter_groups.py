"""Which rate and which weight decay each parameter has."""

from typing import Any

import pytest
from torch import nn

from pointrend_repro.checkpoints.saved_models import build_model
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.settings.schedule import OptimizerSettings
from pointrend_repro.training.parameter_groups import alike, with_faster_decoder
from small_experiment import small_settings
from small_semantic_experiment import small_semantic_settings

Groups = list[dict[str, Any]]


def by_name(model: nn.Module, groups: Groups) -> dict[str, tuple[float, float]]:
    """Each trainable parameter's factor and decay; one that is in two groups would show."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    listed = [
        (names[id(parameter)], (group["lr_factor"], group["weight_decay"]))
        for group in groups
        for parameter in group["params"]
    ]
    found = dict(listed)
    assert len(found) == len(listed)
    assert set(found) == {n for n, p in model.named_parameters() if p.requires_grad}
    return found


def biases(model: nn.Module) -> set[str]:
    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Conv1d, nn.Linear)
    return {
        f"{name}.bias"
        for name, module in model.named_modules()
        if isinstance(module, kinds) and module.bias is not None
    }


def test_a_detector_has_one_rate_and_one_weight_decay() -> None:
    settings = small_settings()
    (group,) = alike(build_model(settings.model, 3), settings.optimizer)
    assert (group["lr_factor"], group["weight_decay"]) == (1.0, settings.optimizer.weight_decay)


@pytest.mark.parametrize("norm", ["frozen_bn", "bn", "fixed_statistics_bn"])
def test_biases_have_their_own_and_shifts_of_norms_are_none(norm: str) -> None:
    model = build_model(small_settings(backbone={"norm": norm}).model, 3)
    optimizer = OptimizerSettings(bias_lr_factor=2, bias_weight_decay=0, weight_decay=0.5)
    found = by_name(model, alike(model, optimizer))
    own = {name for name, kind in found.items() if kind == (2, 0)}
    assert own == biases(model) & set(found)
    assert len(own) > 10
    assert {found[name] for name in set(found) - own} == {(1, 0.5)}


def test_biases_of_a_decoder_have_both_factors() -> None:
    optimizer = {
        "bias_lr_factor": 2, "decoder_lr_factor": 10, "weight_decay": 0.5, "norm_weight_decay": 0.25
    }  # fmt: skip
    settings = small_semantic_settings(optimizer=optimizer)
    model = build_model(settings.model, 19)
    found = by_name(model, with_faster_decoder(model, settings.optimizer))
    for name, kind in found.items():
        factor = 10 if name.startswith("decoder.") else 1
        if ".norm." in name:
            assert kind == (factor, 0.25), name
        else:
            assert kind == (factor * (2 if name in biases(model) else 1), 0.5), name
    assert {kind for kind in found.values() if kind[0] == 20}


def test_table_4s_detectors_train_as_their_codes() -> None:
    """py-faster-rcnn's solver.prototxt: iter_size 2, lr_mult 2 of biases. Fast R-CNN, 2.3."""
    grid = load_grid("paper", papers=["sharpmask"])
    dataset = next(t.dataset for t in grid.trainings if t.variant == "sharpmask_faster_rcnn_vgg")
    faster = grid.training_settings(dataset, "sharpmask_faster_rcnn_vgg")
    assert (faster.optimizer.images_per_batch, faster.optimizer.images_per_step) == (2, 1)
    assert (faster.schedule.total_iters, faster.schedule.lr_drop_iters) == (490_000, (350_000,))
    fast = grid.training_settings(dataset, "sharpmask_fast_rcnn_vgg")
    for settings in (fast, faster):
        assert settings.optimizer.bias_lr_factor == 2
        assert settings.optimizer.bias_weight_decay is None
    assert fast.model.detector.score_threshold == 0
    assert faster.model.detector.score_threshold == 0.05


def test_detectors_of_3d_future_learn_from_anchors_inside_of_the_image() -> None:
    """`allowed_border=0` in each of the winners' and mmdetection's configurations."""
    grid = load_grid("paper", papers=["3dfuture"])
    detectors = {
        name: variant.model.detector
        for name, variant in grid.variants.items()
        if hasattr(variant.model, "detector")
    }
    assert len(detectors) == 12
    assert all(detector.rpn_inside_anchors_only for detector in detectors.values())
