"""Several models that predict together: pooled boxes and masks, NMS by class, the best of all."""

import json
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import Tensor
from torchvision.ops import box_iou

from config_files import config_file
from pointrend_repro.base.errors import UserError
from pointrend_repro.checkpoints.saved_models import SavedModel, build_model
from pointrend_repro.data.coco import Category, CocoDataset, ImageRecord
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.experiments.nodes import Training
from pointrend_repro.modeling.soft_nms import decayed
from pointrend_repro.predictions.ensembles import make_ensemble
from pointrend_repro.predictions.instances import write_results
from pointrend_repro.predictions.pooling import Result, pool
from pointrend_repro.settings.at_test import Nms
from pointrend_repro.settings.ensemble import EnsembleSettings
from pointrend_repro.settings.identity import identity
from pointrend_repro.settings.instances import InferenceSettings
from predicted import predict_dataset
from small_experiment import DATASET, PRESET, small_settings, write_small_config

OTHER = "mask_rcnn_r50_fpn"
FEW = InferenceSettings.model_validate(
    {"output_resolution": 28, "test": {"detections_per_image": 12}}
)


def results(seed: int, count: int) -> list[Result]:
    """What a model finds: with masks of no meaning, by which its objects can be told apart."""
    generator = torch.Generator().manual_seed(seed)
    boxes = (5 + torch.rand(count, 4, generator=generator) * 25).tolist()
    scores = torch.rand(count, generator=generator).tolist()
    labels = torch.randint(4, 7, (count,), generator=generator).tolist()
    rows = enumerate(zip(boxes, scores, labels, strict=True))
    return [
        {"bbox": box, "score": score, "category_id": label, "segmentation": f"{seed}/{row}"}
        for row, (box, score, label) in rows
    ]


def corners(result: Result) -> Tensor:
    x, y, width, height = result["bbox"]
    return torch.tensor([[x, y, x + width, y + height]])


def slow_pool(found: list[list[Result]], weights: tuple[float, ...]) -> list[Result]:
    """By the definition: the best box that is left removes those of its class that overlap it."""
    left = [
        result | {"score": result["score"] * weight}
        for each, weight in zip(found, weights, strict=True)
        for result in each
    ]
    kept: list[Result] = []
    for row in sorted(left, key=lambda row: -row["score"]):
        same = [other for other in kept if other["category_id"] == row["category_id"]]
        if all(box_iou(corners(row), corners(other)) <= 0.5 for other in same):
            kept.append(row)
    return kept


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("weights", [(1.0, 1.0), (1.0, 0.5)])
def test_pooling_is_nms_over_all(seed: int, weights: tuple[float, ...]) -> None:
    both = [results(seed, 20), results(seed + 100, 10)]
    found = pool(both, weights, nms="hard", nms_iou=0.5, count=15)
    expected = slow_pool(both, weights)[:15]
    assert [f["segmentation"] for f in found] == [e["segmentation"] for e in expected]
    for one, other in zip(found, expected, strict=True):
        assert one["score"] == pytest.approx(other["score"])
        assert one | {"score": 0} == other | {"score": 0}


@pytest.mark.parametrize("count", [7, 100])
def test_pooling_by_soft_nms_is_that_of_the_reports_script(count: int) -> None:
    """group_ensemble.py: class by class, then the best of an image; what falls below 0.001 goes."""
    both, weights = [results(1, 30), results(2, 20)], (1.0, 0.8)
    found = pool(both, weights, nms="soft_linear", nms_iou=0.5, count=count)
    pairs = zip(both, weights, strict=True)
    everything = [r | {"score": r["score"] * w} for found_by, w in pairs for r in found_by]
    expected = []
    for label in (4, 5, 6):
        of_class = [r for r in everything if r["category_id"] == label]
        boxes = torch.cat([corners(r) for r in of_class])
        scores = torch.tensor([r["score"] for r in of_class])
        new = decayed(box_iou(boxes, boxes), scores, iou=0.5, least=0.001)
        rows = zip(of_class, new.tolist(), strict=True)
        expected += [r | {"score": s} for r, s in rows if s >= 0.001]
    expected = sorted(expected, key=lambda r: -r["score"])[:count]
    assert [r["segmentation"] for r in found] == [r["segmentation"] for r in expected]
    assert [r["score"] for r in found] == pytest.approx([r["score"] for r in expected])
    assert len(found) == count or 0 < len(found) < 50


@pytest.mark.parametrize("nms", ["hard", "soft_linear"])
@pytest.mark.parametrize("empty", [[True, False], [False, True], [True, True]])
def test_a_model_may_find_nothing(nms: Nms, empty: list[bool]) -> None:
    alone = results(3, 1)
    found = [[] if nothing else alone for nothing in empty]
    assert pool(found, (1.0, 1.0), nms=nms, nms_iou=0.5, count=9) == ([] if all(empty) else alone)


def test_one_model_twice_finds_what_it_finds_once() -> None:
    alone = results(3, 12)
    once, twice = (
        pool([alone] * n, (1.0,) * n, nms="hard", nms_iou=0.5, count=100) for n in (1, 2)
    )
    assert once == twice


def test_weights_are_those_of_the_report() -> None:
    """Formula 1, with the scores of its five models; reckoned once by hand."""
    scores = (77.21, 77.32, 77.38, 77.37, 76.95)
    settings = EnsembleSettings(variants=("b", "c", "d", "e"), scores=scores)
    assert settings.model_weights == pytest.approx((0.842, 0.944, 1.0, 0.991, 0.6), abs=5e-4)
    linear = EnsembleSettings(
        variants=("b", "c", "d", "e"), scores=scores, weighting="linear_reweight"
    )
    assert linear.model_weights == pytest.approx([score / 77.38 for score in scores])
    assert EnsembleSettings(variants=("b",), scores=(7.0, 7.0)).model_weights == (1.0, 1.0)
    assert EnsembleSettings(variants=("b",), weights=(0.5, 1.0)).model_weights == (0.5, 1.0)
    assert EnsembleSettings(variants=("b",)).model_weights == (1.0, 1.0)


def test_an_ensemble_from_before_scores_is_the_same() -> None:
    plain = EnsembleSettings(variants=("b",))
    assert set(identity(plain)) == {"variants", "weights", "nms_iou", "detections_per_image"}
    assert "scores" in identity(EnsembleSettings(variants=("b",), scores=(1.0, 2.0)))


def untrained(*names: str) -> SavedModel:
    settings = small_settings(model={"detector": {"score_threshold": 0.0}})
    torch.manual_seed(len(names[0]))
    model = build_model(settings.model, num_classes=len(names))
    return SavedModel(model.eval(), settings.input, list(enumerate(names, 1)))


def test_models_of_other_classes_are_refused() -> None:
    cat, dog = untrained("cat"), untrained("dog")
    with pytest.raises(UserError, match=r"ensemble\.variants: b was trained for other classes"):
        make_ensemble((lambda: cat, lambda: dog), EnsembleSettings(variants=("b",)))


@pytest.fixture
def dataset(tmp_path: Path) -> CocoDataset:
    records = []
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (30, 40, 3), dtype=np.uint8)
        path = tmp_path / f"{number}.png"
        Image.fromarray(pixels).save(path)
        records.append(ImageRecord(number, path, 40, 30, ()))
    return CocoDataset((Category(1, "cat"), Category(2, "dog")), tuple(records))


def test_an_ensemble_writes_what_its_models_find_pooled(
    dataset: CocoDataset, tmp_path: Path
) -> None:
    models = [untrained("cat", "dog"), untrained("cat", "dog")]
    torch.nn.init.normal_(models[1].model.box_head.cls_score.weight, std=0.1)
    settings = EnsembleSettings(variants=("b",), weights=(1.0, 0.9), detections_per_image=20)
    together = make_ensemble([lambda m=m: m for m in models], settings)
    output = tmp_path / "out/predictions.json"
    write_results(together, dataset, FEW, output)
    alone = [predict_dataset(each, dataset, FEW) for each in models]
    expected: list[Result] = []
    for record in dataset.images:
        found = [[r for r in each if r["image_id"] == record.id] for each in alone]
        expected += pool(found, (1.0, 0.9), nms="hard", nms_iou=0.5, count=20)
    assert json.loads(output.read_text()) == expected
    assert {r["image_id"] for r in expected} == {0, 1, 2}
    assert [path.name for path in output.parent.iterdir()] == [output.name]


def test_one_model_is_in_memory_at_a_time(dataset: CocoDataset, tmp_path: Path) -> None:
    """However many there are; and each is loaded to be looked at, then to predict."""
    alive: list[weakref.ref[Any]] = []
    seen = []

    def load() -> SavedModel:
        seen.append(sum(each() is not None for each in alive))
        saved = untrained("cat", "dog")
        alive.append(weakref.ref(saved.model))
        return saved

    together = make_ensemble([load] * 3, EnsembleSettings(variants=("b", "c")))
    write_results(together, dataset, FEW, tmp_path / "p.json")
    assert seen == [0] * 6


def test_a_failure_leaves_nothing_behind(dataset: CocoDataset, tmp_path: Path) -> None:
    def broken() -> SavedModel:
        if len(loaded) > 2:
            raise UserError("the file is gone")
        loaded.append(1)
        return untrained("cat", "dog")

    loaded: list[int] = []
    together = make_ensemble([broken] * 2, EnsembleSettings(variants=("b",)))
    output = tmp_path / "out/p.json"
    with pytest.raises(UserError, match="the file is gone"):
        write_results(together, dataset, FEW, output)
    assert list(output.parent.iterdir()) == []


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
        ({"weights": [1.0, 1.5]}, r"ensemble\.weights.*less than or equal to 1"),
        ({"scores": [50.0]}, "1 scores for 2 models"),
        ({"scores": [50.0, 0.0]}, r"ensemble\.scores.*greater than 0"),
        ({"scores": [5.0, 6.0], "weights": [1.0, 0.9]}, "weights follow from scores, so give one"),
        ({"weighting": "linear_reweight"}, "says how weights follow from `scores`"),
        ({"nms_iou": 1.5}, r"ensemble\.nms_iou"),
        ({"nms": "soft"}, r"ensemble\.nms"),
        ({"variants": ["nobody"]}, "there is no variant 'nobody'"),
    ],
)
def test_what_cannot_predict_together(ensemble: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=told):
        grid_of(tmp_path / "config", **ensemble)
