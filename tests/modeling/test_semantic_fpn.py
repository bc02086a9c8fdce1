import numpy as np
import pytest
import torch
from pydantic import ValidationError
from small_semantic import (
    CLASSES,
    FEW_POINTS,
    POINTREND,
    random_batch,
    small_deeplab,
    small_semantic_fpn,
    small_trunk,
)

from pointrend_repro.base.errors import UserError
from pointrend_repro.modeling.semantic.losses import mean_cross_entropy
from pointrend_repro.modeling.semantic.model import SemanticModel
from pointrend_repro.modeling.semantic.upsampling import label_map
from pointrend_repro.predictions.label_maps import predict_label_map
from pointrend_repro.settings.schedule import InputSettings
from pointrend_repro.settings.semantic import (
    SemanticFPNSettings,
    SemanticInferenceSettings,
    SemanticModelSettings,
)

MODELS = {
    "deeplabv3": small_deeplab,
    "deeplabv3 + pointrend": lambda: small_deeplab(POINTREND),
    "semantic_fpn": small_semantic_fpn,
    "semantic_fpn + pointrend": lambda: small_semantic_fpn(POINTREND),
    "semantic_fpn p3 + pointrend": lambda: small_semantic_fpn(POINTREND, "p3"),
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> SemanticModel:
    return MODELS[request.param]()


@pytest.mark.parametrize(("finest", "stride"), [("p2", 4), ("p3", 8)])
def test_logits_have_the_stride_of_the_finest_level(finest: str, stride: int) -> None:
    """Table 7: 256x512 for P2-P5, 128x256 for P3-P5, of 1024x2048."""
    model = small_semantic_fpn(finest_level=finest).eval()
    images, _ = random_batch((64, 96))
    (step,) = model.refinement(images, FEW_POINTS)
    assert step.logits.shape == (1, CLASSES, 64 // stride, 96 // stride)


def test_levels_have_as_many_convolutions_as_doublings() -> None:
    levels = small_semantic_fpn().decoder.levels
    assert {k: len(v.convs) for k, v in levels.items()} == {"p2": 1, "p3": 1, "p4": 2, "p5": 3}
    levels = small_semantic_fpn(finest_level="p3").decoder.levels
    assert {k: len(v.convs) for k, v in levels.items()} == {"p3": 1, "p4": 1, "p5": 2}


def test_every_level_counts() -> None:
    decoder = small_semantic_fpn().decoder
    features = {
        level: torch.randn(1, 32, 64 // stride, 64 // stride, requires_grad=True)
        for level, stride in {"p2": 4, "p3": 8, "p4": 16, "p5": 32}.items()
    }
    decoder(features).square().sum().backward()
    assert all(f.grad is not None and f.grad.any() for f in features.values())


def test_mean_cross_entropy_is_over_the_pixels_that_count() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 3, 4, 5), torch.randint(3, (2, 4, 5))
    labels[1] = 255
    wanted = [
        -float(logits[0, :, y, x].log_softmax(0)[labels[0, y, x]]) for y, x in np.ndindex(4, 5)
    ]
    assert float(mean_cross_entropy(logits, labels)) == pytest.approx(np.mean(wanted), rel=1e-5)


def test_losses_of_ignored_images_are_zero_and_have_gradients(model: SemanticModel) -> None:
    images, labels = random_batch((40, 70))
    losses = model(images, [torch.full_like(labels[0], 255)])
    assert {k: v.item() for k, v in losses.items()} == dict.fromkeys(losses, 0.0)
    sum(losses.values()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_gradients_reach_every_parameter(model: SemanticModel) -> None:
    images, labels = random_batch((64, 96), (50, 30))
    losses = model(images, labels)
    assert set(losses) == {"loss_sem_seg", "loss_sem_seg_point"} - (
        set() if model.refiner else {"loss_sem_seg_point"}
    )
    sum(losses.values()).backward()
    dead = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert dead == []


def test_padding_does_not_count() -> None:
    """Labels of the padding are 255: a loss with them equals the loss over the image alone."""
    model = small_semantic_fpn().eval()
    images, labels = random_batch((50, 33))
    loss = model(images, labels)["loss_sem_seg"]
    (step,) = model.refinement(images, FEW_POINTS)
    large = torch.nn.functional.interpolate(step.logits, size=(64, 64), mode="bilinear")
    wanted = torch.nn.functional.cross_entropy(large[..., :50, :33], labels[0][None].long())
    torch.testing.assert_close(loss, wanted)


@pytest.mark.parametrize("size", [(1, 1), (24, 240), (240, 24), (1, 37), (33, 65)])
def test_any_image_size(model: SemanticModel, size: tuple[int, int]) -> None:
    images, labels = random_batch(size)
    image = images[0].permute(1, 2, 0).numpy()
    as_it_is = InputSettings(test_short_edge_px=min(size), max_long_edge_px=max(size))
    found = predict_label_map(model.eval(), image, FEW_POINTS, as_it_is)
    assert found.shape == size
    assert found.dtype == np.uint8
    assert found.max() < CLASSES
    losses = model(images, labels)
    assert all(torch.isfinite(v) for v in losses.values())


def test_a_grey_image_has_one_label_away_from_its_borders(model: SemanticModel) -> None:
    """Of an image of the mean colour only the padding of the convolutions can tell pixels apart."""
    model.eval()
    image = torch.tensor([123.675, 116.280, 103.530]).view(3, 1, 1).expand(-1, 640, 640)
    (labels,) = model.predict([image], FEW_POINTS)
    assert labels.shape == (640, 640)
    assert len(labels[310:330, 310:330].unique()) == 1


def test_label_maps_are_those_of_logits_brought_to_the_image() -> None:
    torch.manual_seed(0)
    logits = torch.randn(CLASSES, 8, 12)
    found = label_map(logits, padded_size=(32, 48), input_size=(30, 41), output_size=(60, 80))
    large = torch.nn.functional.interpolate(logits[None], size=(32, 48), mode="bilinear")
    large = torch.nn.functional.interpolate(large[..., :30, :41], size=(60, 80), mode="bilinear")
    assert torch.equal(found, large[0].argmax(dim=0).to(torch.uint8))


def test_of_equal_logits_the_lower_class_wins() -> None:
    logits = torch.stack([torch.full((2, 2), v) for v in (0.0, 1.0, 1.0)])
    found = label_map(logits, padded_size=(4, 4), input_size=(4, 4), output_size=(4, 4))
    assert found.unique().tolist() == [1]


def test_a_resized_image_is_labelled_at_its_own_size() -> None:
    model = small_semantic_fpn(POINTREND).eval()
    images, _ = random_batch((45, 70))
    image = images[0].permute(1, 2, 0).numpy()
    resize = InputSettings(test_short_edge_px=90, max_long_edge_px=2048)
    found = predict_label_map(model, image, FEW_POINTS, resize)
    assert found.shape == (45, 70)


def test_images_of_a_batch_do_not_depend_on_each_other() -> None:
    model = small_deeplab(POINTREND).eval()
    images, _ = random_batch((48, 64), (48, 64))
    together = model.predict(images, FEW_POINTS)
    alone = [model.predict([image], FEW_POINTS)[0] for image in images]
    assert all(torch.equal(a, b) for a, b in zip(together, alone, strict=True))


def test_only_deeplabv3_changes_its_output_stride() -> None:
    model = small_semantic_fpn().eval()
    images, _ = random_batch((32, 32))
    with pytest.raises(UserError, match="output_stride 8: only DeepLabV3"):
        model.predict(images, SemanticInferenceSettings(output_stride=8))


def test_settings_refuse_a_dilated_pyramid_and_unknown_keys() -> None:
    decoder = {"kind": "semantic_fpn"}
    with pytest.raises(ValidationError, match="output_stride 16 must be 32"):
        SemanticModelSettings(
            backbone=small_trunk(output_stride=16),
            decoder=SemanticFPNSettings.model_validate(decoder),
        )
    with pytest.raises(ValidationError, match="multiple of 32"):
        SemanticFPNSettings.model_validate(decoder | {"channels": 48})
