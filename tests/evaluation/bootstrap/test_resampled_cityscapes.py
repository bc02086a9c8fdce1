"""Cityscapes' AP and mean IoUs with weights are the official ones on the sample."""

import copy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pointrend_repro.data.cityscapes import INSTANCE_CLASSES
from pointrend_repro.data.label_images import CLASS_NAMES
from pointrend_repro.evaluation import evaluate_predictions, score
from pointrend_repro.evaluation.bootstrap import image_counts
from pointrend_repro.evaluation.bootstrap.cityscapes_precision import curve_counts
from pointrend_repro.evaluation.cityscapes_ap import _averages, average_precisions, match_image
from pointrend_repro.evaluation.cityscapes_predictions import PredictedInstance
from pointrend_repro.evaluation.scoring import ReadOnce

SIZE = (60, 90)


def made_up_matches(rng: np.random.Generator, images: int) -> dict:
    """Objects, groups and void, small and large; predictions that miss a little, twice or all."""
    matches = {}
    for number in range(images):
        ids = np.full(SIZE, rng.choice([0, 7]))  # void, road
        for k in range(rng.integers(0, 8)):
            y, x, side = rng.integers(SIZE[0]), rng.integers(SIZE[1]), rng.integers(4, 26)
            label = int(rng.choice([24, 26, 33]))
            value = label if rng.random() < 0.15 else 1000 * label + k
            ids[y : y + side, x : x + side] = value
        predicted = []
        for value in np.unique(ids[ids >= 24]).tolist() * 2:
            if rng.random() < 0.3:
                continue
            mask = np.roll(ids == value, rng.integers(-2, 3, 2), (0, 1))
            score = round(float(rng.random()), 1)  # with equal ones
            label = value if value < 1000 else value // 1000
            predicted.append(PredictedInstance(label, score, 0, 0, mask))
        matches[f"city_{number:06}_000019"] = match_image(ids, predicted)
    return matches


def official(matches: dict) -> float:
    value = _averages(average_precisions(matches))["AP"]
    return float("nan") if value is None else value


def repeated(matches: dict, weights: np.ndarray) -> dict:
    return {
        f"{name}/{k}": copy.deepcopy(found)
        for (name, found), weight in zip(matches.items(), weights, strict=True)
        for k in range(weight)
    }


def test_ap_of_weights_is_the_official_one_on_repeated_images() -> None:
    values = []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        matches = made_up_matches(rng, int(rng.integers(1, 9)))
        counts = curve_counts(matches)
        for weights in [np.ones(len(matches), int), *rng.poisson(1, (3, len(matches)))]:
            expected = official(repeated(matches, weights))
            values.append(expected)
            assert counts.score(weights)["AP"] == pytest.approx(expected, abs=1e-9, nan_ok=True)
    assert np.nanstd(values) > 1
    assert np.isnan(values).any()


def test_only_ignored_predictions_give_zero() -> None:
    """There are objects, and the one prediction lies in void: the official code has no curve."""
    ids = np.zeros(SIZE, int)
    ids[:30, :30] = 24001
    mask = np.zeros(SIZE, bool)
    mask[40:, 40:] = True
    matches = {"a_1_1": match_image(ids, [PredictedInstance(24, 0.5, 0, 0, mask)])}
    assert official(matches) == 0
    assert curve_counts(matches).score(np.array([3])) == {"AP": 0}


def write_labels(root: Path, rng: np.random.Generator, images: int) -> None:
    classes = rng.choice([*CLASS_NAMES, 0, 4], 6)
    for number in range(images):
        stem = f"edgeheim_{number:06}_000019"
        truth = np.kron(rng.choice(classes, (5, 7)), np.ones((8, 9), int))
        predicted = np.where(rng.random(truth.shape) < 0.2, rng.choice(classes), truth)
        predicted = np.roll(predicted, 2, axis=1)
        for folder, ending, ids in [
            (root / "gtFine/val/edgeheim", "gtFine_labelIds", truth),
            (root / "found", "leftImg8bit", predicted),
        ]:
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(ids.astype(np.uint8)).save(folder / f"{stem}_{ending}.png")


def sample_labels(root: Path, folder: Path, weights: np.ndarray) -> tuple[Path, Path]:
    for path in [*root.glob("gtFine/val/*/*.png"), *root.glob("found/*.png")]:
        city, number, rest = path.name.split("_", 2)
        for k in range(weights[int(number)]):
            new = (
                folder
                / path.parent.relative_to(root)
                / f"{city}_{int(number) + 1000 * k:06}_{rest}"
            )
            new.parent.mkdir(parents=True, exist_ok=True)
            new.write_bytes(path.read_bytes())
    return folder, folder / "found"


@pytest.mark.parametrize("metric", ["cityscapes_miou", "trimap_miou"])
def test_mean_ious_of_weights_are_the_official_ones_on_repeated_images(
    tmp_path: Path, metric: str
) -> None:
    rng = np.random.default_rng(5)
    write_labels(tmp_path / "all", rng, 6)
    scored = score(metric, tmp_path / "all", tmp_path / "all/found", ReadOnce())
    counts = image_counts(metric, scored)
    assert counts.images == tuple(f"edgeheim_{k:06}_000019" for k in range(6))
    for number, weights in enumerate([np.ones(6, int), *rng.poisson(1, (4, 6))]):
        truth, found = sample_labels(tmp_path / "all", tmp_path / str(number), weights)
        expected = evaluate_predictions(metric, truth, found)
        values = counts.score(weights)
        assert set(values) == {key for key in expected if not key.startswith("IoU")}
        assert values == pytest.approx({key: expected[key] for key in values}, abs=1e-9)


def test_both_metrics_of_one_image_have_one_name(tmp_path: Path) -> None:
    """Else the resamples of AP and of mean IoU on Cityscapes would not be of the same images."""
    name = "edgeheim_000000_000019"
    assert curve_counts({name: match_image(np.full(SIZE, 7), [])}).images == (name,)
    assert len(INSTANCE_CLASSES) == 8
