"""DeepMask's losses, and the two stages in which SharpMask is trained."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from conftest import CocoBuilder
from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import SavedModel, save_model
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.data.patches import PatchTarget
from pointrend_repro.modeling.deepmask.losses import mask_loss, score_loss
from pointrend_repro.modeling.deepmask.model import DeepMask
from pointrend_repro.settings.deepmask import FIRST_STAGE
from pointrend_repro.settings.deepmask_training import (
    DeepMaskOverrides,
    DeepMaskTrainingSettings,
)
from pointrend_repro.settings.schedule import InputSettings
from pointrend_repro.training import loop
from small_experiment import read_train_split

MODEL: dict[str, Any] = {
    "backbone": {"name": "resnet18_narrow", "norm": "gn"},
    "patch_px": 64,
    "feature_channels": 8,
    "bottleneck_channels": 12,
    "score_channels": 10,
    "mask_resolution": 14,
}
REFINEMENT = {"k": 4, "skip_channels": [4]}
STAGE_1 = {"parts": list(FIRST_STAGE), "frozen": list(FIRST_STAGE)}


def settings_of(
    *, iters: int = 3, start: Path | None = None, input: Any = None, **model: Any
) -> DeepMaskTrainingSettings:
    values: dict[str, Any] = {
        "model": MODEL | model,
        "input": input or {},
        "optimizer": {"images_per_batch": 4, "images_per_step": 2},
        "schedule": {"total_iters": iters},
        "run": {"log_every_iters": 1, "checkpoint_every_iters": 2, "loader_workers": 0},
    }
    if start is not None:
        values["start_from"] = STAGE_1 | {"weights": str(start)}
    return DeepMaskTrainingSettings.model_validate(values)


def some_targets(patches: int, side: int, positive: list[int]) -> PatchTarget:
    is_positive = torch.zeros(patches, dtype=torch.bool)
    is_positive[positive] = True
    return PatchTarget(
        is_positive=is_positive,
        has_score=torch.ones(patches, dtype=torch.bool),
        has_mask=is_positive,
        masks=torch.rand(patches, side, side) > 0.5,
    )


def test_the_mask_loss_is_the_papers_sum_over_positives() -> None:
    torch.manual_seed(0)
    logits = torch.randn(5, 6, 6, dtype=torch.float64)
    target = some_targets(5, 6, positive=[1, 4])
    expected = 0.0
    for k in (1, 4):
        signs = 2.0 * target.masks[k] - 1.0
        expected += float(torch.log(1 + torch.exp(-signs * logits[k])).sum()) / (6 * 6)
    assert float(mask_loss(logits, target)) * 5 == pytest.approx(expected)


def test_the_score_loss_is_the_papers_and_leaves_out_what_does_not_count() -> None:
    logits = torch.tensor([0.3, -1.0, 2.0, 5.0])
    target = some_targets(4, 2, positive=[0, 2])
    target = replace(target, has_score=torch.tensor([True, True, True, False]))
    signs = [1, -1, 1]
    expected = sum(
        float(np.log1p(np.exp(-y * x))) for x, y in zip([0.3, -1.0, 2.0], signs, strict=True)
    )
    assert float(score_loss(logits, target)) * 4 == pytest.approx(expected)


def test_coarse_logits_are_enlarged_to_the_masks() -> None:
    target = some_targets(1, 8, positive=[0])
    target = PatchTarget(
        *(target.is_positive, target.has_score, target.has_mask), torch.ones(1, 8, 8)
    )
    found = mask_loss(torch.full((1, 4, 4), 2.0), target)
    assert float(found) == pytest.approx(np.log1p(np.exp(-2.0)))


def _patches(model: DeepMask, count: int) -> Tensor:
    side = model.settings.patch_px + 2 * model.settings.context_px
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8)


def test_losses_weigh_a_patch_alike_in_batches_of_any_size() -> None:
    torch.manual_seed(0)
    model = DeepMask(settings_of(dropout=0.0).model, 1).double()
    patches, target = _patches(model, 4), some_targets(4, 64, positive=[0, 3])
    whole = model([patches], [target])
    halves = [
        model([patches[part]], [PatchTarget(*(x[part] for x in vars(target).values()))])
        for part in (slice(0, 2), slice(2, 4))
    ]
    for name in ("loss_mask", "loss_score"):
        mean = (halves[0][name] + halves[1][name]) / 2
        torch.testing.assert_close(whole[name], mean)


def test_the_score_has_a_32nd_of_the_weight_whatever_the_batch() -> None:
    torch.manual_seed(0)
    model = DeepMask(settings_of(dropout=0.0).model, 1)
    patches, target = _patches(model, 3), some_targets(3, 64, positive=[0])
    losses = model([patches], [target])
    features = model.features(patches)[0][:, :, 1:-1, 1:-1]
    vectors = model.vectors(features)
    scores = model.score_logits(features, vectors).flatten()
    masks = model.coarse_masks(vectors.flatten(1))
    torch.testing.assert_close(losses["loss_score"], score_loss(scores, target))  # 32 / 32
    torch.testing.assert_close(losses["loss_mask"], 32 * mask_loss(masks, target))


def test_negatives_teach_no_masks_and_the_border_no_trunk() -> None:
    torch.manual_seed(0)
    model = DeepMask(settings_of().model, 1)
    losses = model([_patches(model, 2)], [some_targets(2, 64, positive=[])])
    losses["loss_mask"].backward(retain_graph=True)
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())
    losses["loss_score"].backward()
    assert all(p.grad is not None and p.grad.any() for p in model.score_head.parameters())


def test_a_refinement_without_a_first_stage_is_refused() -> None:
    with pytest.raises(ValidationError, match="is trained in the second stage: start_from"):
        settings_of(refinement=REFINEMENT)


def test_a_presets_changes_reach_trunks_and_refinements() -> None:
    over = DeepMaskOverrides(
        trunk={"vgg11": {"name": "vgg11_narrow"}}, refinement={"k": 8}, model={"patch_px": 64}
    )
    plain = settings_of().model.model_dump()
    assert over.of_model(plain)["refinement"] is None
    named = plain | {"backbone": {"name": "vgg11"}, "refinement": REFINEMENT}
    changed = over.of_model(named)
    assert changed["backbone"]["name"] == "vgg11_narrow"
    assert changed["refinement"]["k"] == 8
    assert changed["patch_px"] == 64
    with pytest.raises(ValidationError, match="trunk has no kind 'vgg12'"):
        DeepMaskOverrides(trunk={"vgg12": {}})


@pytest.fixture
def dataset(coco_builder: CocoBuilder) -> CocoDataset:
    return read_train_split(coco_builder())


def test_the_second_stage_changes_the_refinement_alone(
    dataset: CocoDataset, tmp_path: Path
) -> None:
    first = loop.train(settings_of(), dataset, seed=1, folder=tmp_path / "first", device="cpu")
    path = tmp_path / "first.safetensors"
    categories = [(c.id, c.name) for c in dataset.categories]
    save_model(path, SavedModel(first, InputSettings(), categories))
    second = loop.train(
        settings_of(start=path, refinement=REFINEMENT),
        dataset,
        seed=1,
        folder=tmp_path / "second",
        device="cpu",
    )
    before, after = first.state_dict(), second.state_dict()
    for name, value in after.items():
        if not name.startswith("refinement."):
            assert torch.equal(value, before[name]), name
    torch.manual_seed(1)
    assert second.refinement is not None
    assert all(p.grad is None for p in second.backbone.parameters())
    assert all(p.grad is not None for p in second.refinement.parameters())
    assert set(_losses(tmp_path / "second")) == {"loss_mask"}
    assert set(_losses(tmp_path / "first")) == {"loss_mask", "loss_score"}


def _losses(folder: Path) -> list[str]:
    line = (folder / "log.jsonl").read_text().splitlines()[-1]
    return [key for key in json.loads(line) if key.startswith("loss_")]


@pytest.mark.parametrize("sampling", ["paper", "code"])
def test_images_of_tiny_objects_alone_are_refused(
    coco_builder: CocoBuilder, tmp_path: Path, sampling: str
) -> None:
    def shrink(document: dict[str, Any]) -> None:
        for entry in document["annotations"]:
            entry |= {"segmentation": [[1, 1, 5, 1, 5, 5, 1, 5]], "bbox": [1, 1, 4, 4], "area": 16}

    dataset = read_train_split(coco_builder(mutate=shrink))
    settings = settings_of(input={"sampling": sampling})
    with pytest.raises(UserError, match="nothing to train on"):
        loop.train(settings, dataset, seed=0, folder=tmp_path / "run", device="cpu")


@pytest.mark.parametrize("sampling", ["paper", "code"])
def test_an_interrupted_training_continues_as_if_it_had_not_stopped(
    dataset: CocoDataset, tmp_path: Path, sampling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(iters=4, input={"sampling": sampling, "patches_per_image": 2})
    whole = loop.train(settings, dataset, seed=3, folder=tmp_path / "whole", device="cpu")

    class StoppedError(Exception):
        pass

    update = loop.update

    def stopping(state: Any, *args: Any) -> Any:
        if state.iteration == 3:
            raise StoppedError
        return update(state, *args)

    monkeypatch.setattr(loop, "update", stopping)
    with pytest.raises(StoppedError):
        loop.train(settings, dataset, seed=3, folder=tmp_path / "parts", device="cpu")
    monkeypatch.setattr(loop, "update", update)
    continued = loop.train(settings, dataset, seed=3, folder=tmp_path / "parts", device="cpu")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, continued.state_dict()[name]), name


def test_updates_on_the_same_patches_lower_both_losses() -> None:
    torch.manual_seed(0)
    model = DeepMask(settings_of(dropout=0.0).model, 1)
    patches, target = _patches(model, 4), some_targets(4, 64, positive=[0, 3])
    square = torch.zeros(64, 64, dtype=torch.bool)
    square[16:48, 16:48] = True
    target = replace(target, masks=square.expand(4, 64, 64))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.003, momentum=0.9)
    history = []
    for _ in range(30):
        losses = model([patches], [target])
        optimizer.zero_grad()
        sum(losses.values(), torch.zeros(())).backward()
        optimizer.step()
        history.append({name: float(loss.detach()) for name, loss in losses.items()})
    assert history[-1]["loss_mask"] < 0.5 * history[0]["loss_mask"]
    assert history[-1]["loss_score"] < 0.95 * history[0]["loss_score"]
