"""Several models that predict together: pooled boxes and masks, NMS by class, the best of all."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torchvision.ops import box_iou

from config_files import config_file
from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import SavedModel, build_model
from pointrend_repro.data.structures import Detections
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.experiments.nodes import Training
from pointrend_repro.predictions.ensembles import make_ensemble, pool
from pointrend_repro.settings.ensemble import EnsembleSettings
from small_experiment import DATASET, PRESET, small_settings, write_small_config

OTHER = "mask_rcnn_r50_fpn"


def detections(seed: int, count: int, side: int) -> Detections:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 30
    size = 5 + torch.rand(count, 2, generator=generator) * 20
    return Detections(
        torch.cat([corner, corner + size], dim=1),
        torch.rand(count, generator=generator),
        torch.randint(0, 3, (count,), generator=generator),
        torch.rand(count, side, side, generator=generator),
    )


def slow_pool(found: list[Detections], settings: EnsembleSettings) -> list[tuple[Any, ...]]:
    """By the definition: the best box that is left removes those of its class that overlap it."""
    weights = settings.weights or [1.0] * len(found)
    left = [
        (float(each.scores[i] * weight), int(each.labels[i]), each.boxes[i], each.mask_logits[i])
        for each, weight in zip(found, weights, strict=True)
        for i in range(len(each.boxes))
    ]
    kept: list[tuple[Any, ...]] = []
    for row in sorted(left, key=lambda row: -row[0]):
        same = [other[2] for other in kept if other[1] == row[1]]
        if all(box_iou(row[2][None], box[None]) <= settings.nms_iou for box in same):
            kept.append(row)
    return kept[: settings.detections_per_image]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("weights", [None, (1.0, 0.5)])
def test_pooling_is_nms_over_all(seed: int, weights: tuple[float, ...] | None) -> None:
    settings = EnsembleSettings(variants=("b",), weights=weights, detections_per_image=15)
    both = [detections(seed, 20, 28), detections(seed + 100, 10, 56)]
    found, expected = pool(both, settings), slow_pool(both, settings)
    assert [f.label for f in found] == [row[1] for row in expected]
    for one, (score, _, box, mask) in zip(found, expected, strict=True):
        assert one.score == pytest.approx(score)
        assert torch.equal(one.box, box)
        assert torch.equal(one.mask_logits, mask)


def test_one_model_twice_finds_what_it_finds_once() -> None:
    alone = detections(3, 12, 28)
    settings = EnsembleSettings(variants=("b",))
    once, twice = (pool([alone] * n, settings) for n in (1, 2))
    assert [(f.score, f.label) for f in once] == [(f.score, f.label) for f in twice]


def test_models_of_other_classes_are_refused() -> None:
    settings = small_settings()
    models = tuple(
        SavedModel(build_model(settings.model, num_classes=n), settings.input, names)
        for n, names in ((1, [(1, "cat")]), (1, [(1, "dog")]))
    )
    with pytest.raises(UserError, match=r"ensemble\.variants: b was trained for other classes"):
        make_ensemble(models, EnsembleSettings(variants=("b",)))


def grid_of(folder: Path, **ensemble: Any) -> Grid:
    config = write_small_config(folder)
    path = config_file("variants/pointrend_r50_fpn", config)
    values = yaml.safe_load(path.read_text())
    values["inference"]["res28"]["ensemble"] = {"variants": [OTHER]} | ensemble
    path.write_text(yaml.safe_dump(values))
    table = config_file("tables/table1", config)
    content = yaml.safe_load(table.read_text())
    content["rows"] = {"pointrend_28": content["rows"]["pointrend_28"]}
    table.write_text(yaml.safe_dump(content, sort_keys=False))
    return load_grid(PRESET, config)


def test_all_models_of_a_prediction_are_trained(tmp_path: Path) -> None:
    grid = grid_of(tmp_path / "config")
    (prediction,) = grid.predictions
    own, other = (Training(DATASET, name, 0) for name in ("pointrend_r50_fpn", OTHER))
    assert prediction.trainings == (own, other)
    assert prediction.folder == f"{own.folder}/res28"
    assert grid.trainings == sorted([own, other])
    assert grid.before(prediction) == [own, other]


@pytest.mark.parametrize(
    ("ensemble", "told"),
    [
        (
            {"variants": ["deeplabv3_r103"]},
            "of family semantic, whose models do not",
        ),
        ({"variants": ["pointrend_r50_fpn"]}, "is the variant itself"),
        ({"variants": [OTHER, OTHER]}, "has one twice"),
        ({"weights": [1.0]}, "1 weights for 2 models"),
        ({"variants": ["nobody"]}, "there is no variant 'nobody'"),
    ],
)
def test_what_cannot_predict_together(ensemble: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=told):
        grid_of(tmp_path / "config", **ensemble)
