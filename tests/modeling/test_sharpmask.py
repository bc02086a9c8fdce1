"""The SharpMask-style head: shapes, Figure 7's two forms, boxes and images, stages, learning."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from accelerate.utils import set_seed
from torch import Tensor, nn
from torchvision.ops import roi_align

from pointrend_repro.config.papers import load_paper
from pointrend_repro.config.reading import load_dataset, load_preset, load_variant, resolve_training
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.data.structures import Proposals, Target
from pointrend_repro.modeling.backbone import STRIDES, TRUNK_STRIDES, FPNBackbone
from pointrend_repro.modeling.build import build_mask_rcnn
from pointrend_repro.modeling.detector import MaskRCNN
from pointrend_repro.modeling.mask_heads.sharpmask import SharpMaskHead
from pointrend_repro.modeling.mask_heads.targets import crop_masks
from pointrend_repro.modeling.pooling import pool_rois
from pointrend_repro.modeling.refinement import RefinementModule
from pointrend_repro.settings.backbone import BackboneSettings
from pointrend_repro.settings.heads import SharpMaskHeadSettings
from pointrend_repro.settings.instances import InferenceSettings, TrainingSettings
from pointrend_repro.training import loop
from small_experiment import read_train_split, small_settings

NARROW = {"kind": "sharpmask", "reduced_channels": 6, "bottleneck_channels": 12, "skip_channels": 5}
IN_CHANNELS = 8
TRUNK_CHANNELS = (4, 5, 6, 7)
COARSE_SHARE = 0.5
HEIGHT, WIDTH = 256, 320

# The whole image (several cells a bin), less than a pixel, and across the border.
BOXES = [
    torch.tensor([[10.0, 20.0, 90.0, 70.0], [0.0, 0.0, 320.0, 256.0], [30.2, 40.1, 30.9, 40.7]]),
    torch.tensor([[230.0, 190.0, 350.0, 270.0], [-9.0, 5.0, 40.0, 60.0]]),
]


def make_head(**changes: Any) -> SharpMaskHead:
    torch.manual_seed(0)
    settings = SharpMaskHeadSettings.model_validate(NARROW | changes)
    return randomise_biases(SharpMaskHead(IN_CHANNELS, TRUNK_CHANNELS, settings, pool_rois))


def randomise_biases(head: SharpMaskHead) -> SharpMaskHead:
    """Zero biases would hide a bias that is added twice, or not at all."""
    for name, parameter in head.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.1)
    return head


def make_features(num_images: int = 2, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    channels = dict.fromkeys(STRIDES, IN_CHANNELS) | dict(
        zip(TRUNK_STRIDES, TRUNK_CHANNELS, strict=True)
    )
    return {
        name: torch.randn(
            (num_images, channels[name], HEIGHT // stride, WIDTH // stride), generator=generator
        ).to(dtype)
        for name, stride in (STRIDES | TRUNK_STRIDES).items()
    }


def image_features(features: dict[str, Tensor], image: int) -> dict[str, Tensor]:
    return {name: value[image : image + 1] for name, value in features.items()}


@torch.no_grad()
def predict(head: SharpMaskHead, features: dict[str, Tensor], boxes: list[Tensor]) -> Tensor:
    labels = [torch.arange(len(b)) for b in boxes]
    return head.predict(features, boxes, labels, InferenceSettings())


def make_targets() -> tuple[list[Proposals], list[Target]]:
    """An ellipse in each image, and boxes around it."""
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    proposals, targets = [], []
    for (cx, cy), boxes in zip([(60, 60), (280, 220)], BOXES, strict=True):
        mask = ((x - cx) / 40) ** 2 + ((y - cy) / 30) ** 2 < 1
        box = torch.tensor([[cx - 40.0, cy - 30.0, cx + 40.0, cy + 30.0]])
        matched = torch.zeros(len(boxes), dtype=torch.int64)
        proposals.append(Proposals(boxes, matched, matched))
        targets.append(Target(box, torch.zeros(1, dtype=torch.int64), mask[None]))
    return proposals, targets


def without_boxes(proposals: Proposals) -> Proposals:
    return proposals.select(torch.zeros(0, dtype=torch.int64))


# Shapes and sizes


def test_each_module_halves_the_channels_and_doubles_the_resolution() -> None:
    head, features = make_head(), make_features()
    skips = head.refinement.crop_skips(features, BOXES)
    wanted = [(32, 7), (16, 14), (8, 28), (4, 56)]
    assert [tuple(s.shape) for s in skips] == [(5, k, side, side) for k, side in wanted]
    assert [stage.in_channels for stage in (s[0] for s in head.refinement.skips)] == [7, 6, 5, 4]
    assert head.refinement.encoding.out_features == 32 * 7 * 7
    for refine, skip, (k, side) in zip(head.refinement.refine, skips, wanted, strict=True):
        finer = refine(torch.randn(5, k, side, side), skip)
        assert finer.shape == (5, k // 2, 2 * side, 2 * side)


def test_a_mask_is_112_by_112_and_the_same_for_every_class() -> None:
    head, features = make_head(), make_features()
    logits = predict(head, features, BOXES)
    assert logits.shape == (5, 112, 112)
    other = [torch.full((len(b),), 79) for b in BOXES]
    with torch.no_grad():
        assert torch.equal(head.predict(features, BOXES, other, InferenceSettings()), logits)


def test_parameters_are_those_of_the_paper_s_layers() -> None:
    trunk = (256, 512, 1024, 2048)
    settings = SharpMaskHeadSettings(kind="sharpmask", coarse_stage_share=0.5)
    head = SharpMaskHead(256, trunk, settings, pool_rois)

    def count(*modules: nn.Module) -> int:
        return sum(p.numel() for module in modules for p in module.parameters())

    assert count(head.bottleneck) == (256 * 128 + 128) + (128 * 49 * 512 + 512)
    assert count(head.coarse_mask) == 512 * 28 * 28 + 28 * 28
    assert count(head.refinement.encoding) == (512 + 1) * 32 * 49
    assert count(head.refinement.predictor) == 2 * 9 + 1
    skip = sum(c * 64 * 9 + 64 for c in trunk) + sum(64 * k * 9 + k for k in (32, 16, 8, 4))
    refine = sum(2 * k * (k // 2) * 9 + k // 2 for k in (32, 16, 8, 4))
    assert count(head.refinement.skips) == skip
    assert count(head.refinement.refine) == refine
    # Section 5.3: "the refinement modules require fewer than 3M additional parameters".
    assert 2e6 < skip + refine < 3e6


def test_backbone_hands_on_the_stages_of_its_trunk() -> None:
    torch.manual_seed(0)
    settings = BackboneSettings(
        name="resnet18_narrow", norm="gn", freeze_at=0, fpn_channels=IN_CHANNELS
    )
    backbone = FPNBackbone(settings)
    features = backbone([torch.randint(0, 256, (3, 60, 90), dtype=torch.uint8)])
    channels = backbone.bottom_up.out_channels
    for (name, stride), width in zip(TRUNK_STRIDES.items(), channels, strict=True):
        assert features[name].shape == (1, width, 64 // stride, 96 // stride)
    lateral = backbone.fpn.inner_blocks[3](features["res5"])
    torch.testing.assert_close(backbone.fpn.layer_blocks[3](lateral), features["p5"])


# Figure 7: one convolution on the concatenation, or two and their sum


def test_one_convolution_split_in_two_gives_the_same_module() -> None:
    torch.manual_seed(0)
    whole = nn.Conv2d(32 + 32, 16, 3, padding=1).double()
    module = RefinementModule(32, 32, 16).double()
    split = {"conv_mask.weight": whole.weight[:, :32], "conv_skip.weight": whole.weight[:, 32:]}
    assert whole.bias is not None
    module.load_state_dict(split | {"conv_mask.bias": whole.bias})
    mask, skip = torch.randn(2, 3, 32, 7, 7, dtype=torch.float64)
    original = F.relu(whole(torch.cat([mask, skip], dim=1)))
    original = F.interpolate(original, size=(14, 14), mode="bilinear", align_corners=False)
    torch.testing.assert_close(module(mask, skip), original, rtol=1e-12, atol=1e-12)


@torch.no_grad()
def original_form(head: SharpMaskHead, features: dict[str, Tensor], box: Tensor) -> Tensor:
    """Figure 7a for one box of one image: concatenate M and the cropped S, then convolve."""
    parts = head.refinement
    mask = parts.encoding(head.bottleneck(pool_rois(features, [box[None]], 7))).view(1, 32, 7, 7)
    for i, (stage, stride) in enumerate([("res5", 32), ("res4", 16), ("res3", 8), ("res2", 4)]):
        skip = features[stage]
        for conv in (parts.skips[i][0], parts.skips[i][2]):
            skip = F.relu(F.conv2d(skip, conv.weight, conv.bias, padding=1))
        crop = roi_align(skip, [box[None]], 7 * 2**i, 1 / stride, sampling_ratio=0, aligned=True)
        weight = torch.cat([parts.refine[i].conv_mask.weight, parts.refine[i].conv_skip.weight], 1)
        both = torch.cat([mask, crop], dim=1)
        mask = F.relu(F.conv2d(both, weight, parts.refine[i].conv_mask.bias, padding=1))
        mask = F.interpolate(mask, scale_factor=2, mode="bilinear", align_corners=False)
    return parts.predictor(mask)[0, 0]


def test_both_forms_give_the_same_masks_of_any_boxes() -> None:
    head, features = make_head().double(), make_features(dtype=torch.float64)
    boxes = [b.double() for b in BOXES]
    wanted = [
        original_form(head, image_features(features, i), box)
        for i, image_boxes in enumerate(boxes)
        for box in image_boxes
    ]
    got = predict(head, features, boxes)
    torch.testing.assert_close(got, torch.stack(wanted), rtol=1e-9, atol=1e-9)
    assert got.std() > 0.01


# Boxes and images


def test_a_mask_depends_neither_on_other_boxes_nor_on_other_images() -> None:
    head, features = make_head(), make_features()
    together = predict(head, features, BOXES)
    for image, part in enumerate(together.split([len(b) for b in BOXES])):
        own = image_features(features, image)
        for box, mask in zip(BOXES[image], part, strict=True):
            alone = predict(head, own, [box[None]])[0]
            torch.testing.assert_close(alone, mask, rtol=1e-4, atol=1e-5)
            elsewhere = predict(head, image_features(features, 1 - image), [box[None]])[0]
            assert not torch.allclose(elsewhere, mask, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("name", ["res2", "res3", "res4", "res5"])
def test_every_stage_of_the_trunk_matters(name: str) -> None:
    head, features = make_head(), make_features()
    changed = features | {name: features[name] + 1.0}
    assert not torch.allclose(predict(head, features, BOXES), predict(head, changed, BOXES))


@pytest.mark.parametrize("stage", ["joint", "coarse"])
def test_images_without_boxes(stage: str) -> None:
    share = None if stage == "joint" else COARSE_SHARE
    head, features = make_head(coarse_stage_share=share), make_features()
    head.start_stage(0.0)
    proposals, targets = make_targets()

    def loss(chosen: list[Proposals]) -> Tensor:
        (value,) = head.losses(features, chosen, targets).values()
        return value

    one_empty = loss([without_boxes(proposals[0]), proposals[1]])
    only_the_other = head.losses(image_features(features, 1), proposals[1:], targets[1:])
    torch.testing.assert_close([one_empty], list(only_the_other.values()))

    nothing = loss([without_boxes(p) for p in proposals])
    assert nothing.item() == 0.0
    nothing.backward()
    for name, parameter in head.named_parameters():
        if stage == "joint" or not name.startswith("refinement."):
            assert parameter.grad is not None, name
            assert not parameter.grad.any(), name

    none = [b[:0] for b in BOXES]
    assert predict(head, features, none).shape == (0, 112, 112)
    assert predict(head, features, [none[0], BOXES[1]]).shape == (2, 112, 112)


# Losses


def test_losses_are_the_mean_cross_entropy_on_their_grids() -> None:
    head, features = make_head(coarse_stage_share=COARSE_SHARE), make_features()
    proposals, targets = make_targets()

    def wanted(logits: Tensor) -> Tensor:
        truth = crop_masks(proposals, targets, logits.shape[-1])
        p = logits.sigmoid()
        return -(truth * p.log() + (1 - truth) * (1 - p).log()).mean()

    head.start_stage(0.0)
    coarse = head.losses(features, proposals, targets)
    vectors = head.bottleneck(pool_rois(features, BOXES, 7))
    by_hand = wanted(head.coarse_mask(vectors).view(5, 28, 28))
    torch.testing.assert_close(coarse, {"loss_mask_coarse": by_hand})
    head.start_stage(COARSE_SHARE)
    fine = head.losses(features, proposals, targets)
    torch.testing.assert_close(fine, {"loss_mask": wanted(predict(head, features, BOXES))})


@pytest.mark.parametrize("stage", ["joint", "coarse", "refine"])
def test_overfits_one_object(stage: str) -> None:
    share = None if stage == "joint" else COARSE_SHARE
    # A pixel of the coarse mask learns by its own few weights from its own small part of the mean.
    head = make_head(coarse_stage_share=share, bottleneck_channels=512)
    head.start_stage(1.0 if stage == "refine" else 0.0)
    proposals, targets = ([each[0]] for each in make_targets())
    proposals[0] = proposals[0].select(torch.tensor([0]))
    # What a trunk may see: the object, in each channel, under noise.
    features = image_features(make_features(), 0)
    features = {
        name: 0.3 * noise + F.adaptive_avg_pool2d(targets[0].masks.float(), noise.shape[2:])
        for name, noise in features.items()
    }
    trained = head.refinement if stage == "refine" else head
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.05, momentum=0.9)
    history = []
    for _ in range(60):
        (loss,) = head.losses(features, proposals, targets).values()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert history[-1] < 0.1 * history[0], history


# Stages


def make_model(**changes: Any) -> MaskRCNN:
    torch.manual_seed(0)
    return build_mask_rcnn(sharpmask_settings(**changes).model, num_classes=3).train()


def sharpmask_settings(freeze_at: int = 0, share: float | None = None) -> TrainingSettings:
    values = small_settings().model_dump()
    values["model"]["mask_head"] = NARROW | {"coarse_stage_share": share}
    values["model"]["backbone"]["freeze_at"] = freeze_at
    return TrainingSettings.model_validate(values)


def names_with_gradient(model: MaskRCNN) -> set[str]:
    generator = torch.Generator().manual_seed(3)
    image = torch.randint(0, 256, (3, 64, 96), generator=generator, dtype=torch.uint8)
    mask = torch.zeros(1, 64, 96, dtype=torch.bool)
    mask[:, 10:40, 20:70] = True
    box = torch.tensor([[20.0, 10.0, 70.0, 40.0]])
    losses = model([image], [Target(box, torch.zeros(1, dtype=torch.int64), mask)])
    model.zero_grad()
    torch.stack(list(losses.values())).sum().backward()
    return {name for name, p in model.named_parameters() if p.grad is not None}


def names_of(model: MaskRCNN, *prefixes: str) -> set[str]:
    return {name for name, _ in model.named_parameters() if name.startswith(prefixes)}


@pytest.mark.parametrize("freeze_at", [0, 2])
def test_gradients_reach_only_what_the_stage_trains(freeze_at: int) -> None:
    model = make_model(freeze_at=freeze_at, share=COARSE_SHARE)
    refinement = names_of(model, "mask_head.refinement.")
    frozen = names_of(model, "backbone.bottom_up.stem", "backbone.bottom_up.res2")
    everything = names_of(model, "") - (frozen if freeze_at else set())

    # Back to the first stage too: what is trained follows from the iteration alone.
    for iteration, wanted in [
        (0, everything - refinement),
        (4, everything - refinement),
        (5, refinement),
        (9, refinement),
        (0, everything - refinement),
    ]:
        model.start_iteration(iteration, 10)
        assert names_with_gradient(model) == wanted, iteration


@pytest.mark.parametrize("freeze_at", [0, 2])
def test_joint_training_trains_everything_at_every_iteration(freeze_at: int) -> None:
    model = make_model(freeze_at=freeze_at)
    assert not names_of(model, "mask_head.coarse_mask")
    frozen = names_of(model, "backbone.bottom_up.stem", "backbone.bottom_up.res2")
    wanted = names_of(model, "") - (frozen if freeze_at else set())
    for iteration in (0, 9):
        model.start_iteration(iteration, 10)
        assert names_with_gradient(model) == wanted


def test_the_mask_loss_reaches_all_of_the_head_and_the_trunk() -> None:
    head, features = make_head(), make_features()
    for feature in features.values():
        feature.requires_grad_()
    head.losses(features, *make_targets())["loss_mask"].backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name
    for name in TRUNK_STRIDES:
        assert features[name].grad is not None, name


Builder = Callable[..., Path]


@pytest.fixture
def dataset(coco_builder: Builder) -> CocoDataset:
    return read_train_split(coco_builder(train_images=4))


def train(folder: Path, dataset: CocoDataset) -> MaskRCNN:
    """Eight updates, four in each stage, saved after 3, 6 and 8."""
    settings = sharpmask_settings(share=COARSE_SHARE)
    return loop.train(settings, dataset, seed=0, folder=folder, device="cpu")


def spy_on_updates(
    patch: pytest.MonkeyPatch, after_update: Callable[[int, MaskRCNN], None]
) -> None:
    update = loop.update

    def spied(state: Any, *args: Any) -> dict[str, float]:
        numbers = update(state, *args)
        after_update(state.iteration, state.model)
        return numbers

    patch.setattr(loop, "update", spied)


def test_what_a_stage_does_not_train_stays_to_the_last_bit(
    tmp_path: Path, dataset: CocoDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = sharpmask_settings(share=COARSE_SHARE)
    assert settings.optimizer.weight_decay > 0
    assert settings.optimizer.momentum > 0
    set_seed(0)
    states = [build_mask_rcnn(settings.model, num_classes=3).state_dict()]
    spy_on_updates(
        monkeypatch,
        lambda _, model: states.append({k: v.clone() for k, v in model.state_dict().items()}),
    )
    train(tmp_path, dataset)
    assert len(states) == 9
    for iteration, (before, after) in enumerate(pairwise(states)):
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        in_refinement = {name.startswith("mask_head.refinement.") for name in changed}
        assert in_refinement == {iteration >= 4}, iteration
    untouched = {k for k in states[0] if torch.equal(states[0][k], states[-1][k])}
    assert not {k for k in untouched if k.startswith("mask_head.") and "bias" not in k}


class Interrupted(Exception):  # noqa: N818
    pass


@pytest.mark.parametrize("last", [4, 6])
def test_continued_across_and_after_the_change_of_stage(
    tmp_path: Path, dataset: CocoDataset, last: int
) -> None:
    def stop(iteration: int, _: MaskRCNN) -> None:
        if iteration == last:
            raise Interrupted

    with pytest.MonkeyPatch.context() as patch:
        spy_on_updates(patch, stop)
        with pytest.raises(Interrupted):
            train(tmp_path / "cut", dataset)
    newest = sorted(path.name for path in (tmp_path / "cut/checkpoints").iterdir())[-1]
    assert newest == {4: "iter_00000003.pt", 6: "iter_00000006.pt"}[last]
    continued = train(tmp_path / "cut", dataset).state_dict()
    whole = train(tmp_path / "whole", dataset).state_dict()
    assert continued.keys() == whole.keys()
    assert [name for name in whole if not torch.equal(whole[name], continued[name])] == []


# The whole detector, and the configuration


def test_detector_gives_masks_of_112(dataset: CocoDataset) -> None:
    model = make_model().eval()
    image = torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8)
    (found,) = model.detect([image], InferenceSettings())
    assert len(found.boxes) > 0
    assert found.mask_logits.shape == (len(found.boxes), 112, 112)


def test_variant_is_the_paper_s_joint_model() -> None:
    variant = load_variant("sharpmask_r50_fpn")
    recipes = load_paper("pointrend").recipes_for(["coco"])
    settings = resolve_training(
        load_preset("paper"), load_dataset("coco"), variant, recipes, where="coco/sharpmask_r50_fpn"
    )
    assert settings.model.mask_head == SharpMaskHeadSettings(kind="sharpmask")
    assert settings.model.backbone == BackboneSettings(
        name="resnet50", weights="data/imagenet/R-50.pkl"
    )
    assert set(variant.inference) == {"default"}


def test_encoding_that_cannot_be_halved_four_times_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 16"):
        SharpMaskHeadSettings.model_validate(NARROW | {"encoding_channels": 24})
