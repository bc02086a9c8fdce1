import copy
import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as mask_utils
import pytest
from cityscapesscripts.evaluation import evalInstanceLevelSemanticLabeling as official  # noqa: N813
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.cityscapes import INSTANCE_CLASSES, class_of, image_id, label_files
from pointrend_repro.data.generated.cityscapes_layout import generate_cityscapes
from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.evaluation import evaluate_predictions
from pointrend_repro.evaluation.cityscapes_ap import (
    average_precisions,
    cityscapes_ap,
    match_image,
)
from pointrend_repro.evaluation.cityscapes_predictions import folder_reader
from pointrend_repro.settings.generated import GeneratedSettings

ROAD, STATIC, PERSON, CAR, CARAVAN = 7, 4, 24, 26, 29
SIZE = (48, 96)

# mask (H, W), label id, score
Prediction = tuple[np.ndarray, int, float]
Predictions = dict[str, list[Prediction]]


def write_truth(root: Path, scenes: dict[str, np.ndarray]) -> Path:
    for name, ids in scenes.items():
        folder = root / "gtFine/val" / name.split("_")[0]
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}_gtFine_instanceIds.png"
        Image.fromarray(ids.astype(np.uint16)).save(path)
    return root


def write_folder(folder: Path, predictions: Predictions) -> Path:
    """The official layout, with masks in a folder of their own."""
    (folder / "masks").mkdir(parents=True)
    for name, found in predictions.items():
        lines = []
        for number, (mask, label_id, score) in enumerate(found):
            path = f"masks/{name}_{number}.png"
            Image.fromarray(mask.astype(np.uint8) * 255).save(folder / path)
            lines.append(f"{path} {label_id} {score!r}\n")
        (folder / f"{name}_pred.txt").write_text("".join(lines))
    return folder


def write_coco(path: Path, predictions: Predictions) -> Path:
    entries = []
    for name, found in predictions.items():
        for mask, label_id, score in found:
            rle = mask_utils.encode(np.asfortranarray(mask, np.uint8))
            rle["counts"] = rle["counts"].decode()
            entry = {"image_id": image_id(name), "category_id": label_id, "score": score}
            entries.append(entry | {"segmentation": rle})
    path.write_text(json.dumps(entries))
    return path


def truth_as_predictions(root: Path, score: float = 0.9) -> Predictions:
    predictions: Predictions = {}
    for name, path in label_files(root, "val").items():
        ids = np.asarray(Image.open(path)).astype(int)
        values = [v for v in np.unique(ids).tolist() if v >= 1000]
        predictions[name] = [(ids == v, class_of(v), score) for v in values]
    return predictions


def perturbed(root: Path, rng: np.random.Generator) -> Predictions:
    """Shifted, doubled, mistaken, missing and empty objects, and some in the background."""
    predictions: Predictions = {}
    for name, found in truth_as_predictions(root).items():
        height, width = Image.open(label_files(root, "val")[name]).size[::-1]
        own: list[Prediction] = []
        for mask, label_id, _ in found * 3:
            if rng.random() < 0.2:
                continue
            moved = np.roll(mask, tuple(rng.integers(-3, 4, 2)), (0, 1))
            label = label_id if rng.random() < 0.9 else int(rng.choice(list(INSTANCE_CLASSES)))
            own.append((moved, label, float(np.round(rng.random(), 1))))  # with equal scores
        for label in [*INSTANCE_CLASSES, CARAVAN, ROAD]:
            y, x = rng.integers(height - 4), rng.integers(width - 4)
            mask = np.zeros((height, width), bool)
            mask[y : y + 20, x : x + 30] = True
            own.append((mask, label, float(rng.random())))
        own.append((np.zeros((height, width), bool), CAR, 0.99))
        predictions[name] = own
    return predictions


@pytest.fixture
def run_official(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Path, Path], dict[str, Any]]:
    """The untouched evaluator; only NumPy's old alias is lent, and no file is written.

    Its dump of the matches fails on NumPy's integers.
    """
    monkeypatch.setattr(np, "in1d", np.isin, raising=False)
    monkeypatch.setattr(official, "writeDict2JSON", lambda content, path: None)

    def run(root: Path, folder: Path) -> dict[str, Any]:
        args = copy.copy(official.args)
        args.quiet, args.JSONOutput = True, False
        args.predictionPath, args.predictionWalk = str(folder.resolve()), None
        args.gtInstancesFile = str(tmp_path / "none.json")
        truth = sorted(str(path) for path in root.glob("gtFine/val/*/*_instanceIds.png"))
        found = [official.getPrediction(path, args) for path in truth]
        return official.evaluateImgLists(found, truth, args)

    return run


@pytest.fixture(scope="module")
def streets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("streets") / "data"
    options = GeneratedSettings(
        train_images=0,
        val_images=14,
        width_px=192,
        height_px=96,
        classes=8,
        crowd_image_share=0.125,
    )
    generate_cityscapes(root, options)
    return root


def blocks(rng: np.random.Generator) -> np.ndarray:
    """Rectangles of all kinds of ids: objects large and small, groups, void, caravans, stuff."""
    ids = np.full(SIZE, ROAD)
    pool = [PERSON, CAR, STATIC, CARAVAN, 1000 * CARAVAN, 10]
    pool += [1000 * label + k for label in INSTANCE_CLASSES for k in range(2)]
    for value in rng.permutation(pool):
        y, x = rng.integers(SIZE[0] - 4), rng.integers(SIZE[1] - 4)
        height, width = rng.integers(4, 24, 2)
        ids[y : y + height, x : x + width] = value
    return ids


def as_numbers(result: dict[str, Any]) -> dict[str, float | None]:
    """Averages of the official evaluator under our keys."""
    averages = result["averages"]
    numbers = {"AP": averages["allAp"], "AP50": averages["allAp50%"]}
    numbers |= {f"AP_{name}": item["ap"] for name, item in averages["classes"].items()}
    return {key: None if np.isnan(x) else 100 * float(x) for key, x in numbers.items()}


def assert_equal_to_official(
    root: Path, predictions: Predictions, tmp: Path, run: Callable[[Path, Path], dict[str, Any]]
) -> dict[str, float | None]:
    folder = write_folder(tmp / "folder", predictions)
    expected = run(root, folder)
    files = label_files(root, "val")
    read = folder_reader(folder, files)
    matches = {}
    for name, path in files.items():
        ids = np.asarray(Image.open(path))
        matches[name] = match_image(ids, read(name, ids.shape))
    np.testing.assert_array_equal(average_precisions(matches), expected["resultApMatrix"])
    from_folder = cityscapes_ap(root, folder)
    assert from_folder == as_numbers(expected)
    known = {
        name: [item for item in found if item[1] in INSTANCE_CLASSES]
        for name, found in predictions.items()
    }
    assert cityscapes_ap(root, write_coco(tmp / "predictions.json", known)) == from_folder
    return from_folder


def test_truth_as_its_own_prediction_is_perfect(
    streets: Path, tmp_path: Path, run_official: Callable[..., dict[str, Any]]
) -> None:
    numbers = assert_equal_to_official(
        streets, truth_as_predictions(streets), tmp_path, run_official
    )
    # To rounding: the official evaluator adds up steps of recall.
    assert numbers["AP"] == pytest.approx(100, abs=1e-9)
    assert numbers["AP50"] == pytest.approx(100, abs=1e-9)
    assert all(x is None or x == pytest.approx(100, abs=1e-9) for x in numbers.values())
    assert sum(x is not None for x in numbers.values()) >= 2 + 6


@pytest.mark.parametrize("seed", [0, 1])
def test_perturbed_predictions_score_as_officially(
    seed: int, streets: Path, tmp_path: Path, run_official: Callable[..., dict[str, Any]]
) -> None:
    predictions = perturbed(streets, np.random.default_rng(seed))
    numbers = assert_equal_to_official(streets, predictions, tmp_path, run_official)
    assert 0 < numbers["AP"] < numbers["AP50"] < 100


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_ids_score_as_officially(
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
    run_official: Callable[..., dict[str, Any]],
) -> None:
    rng, tmp = np.random.default_rng(seed), tmp_path_factory.mktemp("any")
    scenes = {f"town_{k:06d}_000019": blocks(rng) for k in range(3)}
    # False predictions of each class on plain road: the official evaluator fails where all
    # predictions of a class are ignored (see below).
    scenes["road_000000_000019"] = np.full(SIZE, ROAD)
    root = write_truth(tmp / "data", scenes)
    predictions = perturbed(root, rng)
    assert_equal_to_official(root, predictions, tmp, run_official)


def scene_with(**areas: tuple[slice, slice]) -> np.ndarray:
    ids = np.full(SIZE, ROAD)
    for key, area in areas.items():
        ids[area] = int(key.removeprefix("id"))
    return ids


def mask_of(area: tuple[slice, slice]) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[area] = True
    return mask


OBJECT, ELSEWHERE = np.s_[2:22, 2:22], np.s_[24:44, 50:80]
NAME = "town_000000_000019"


@pytest.mark.parametrize(
    ("value", "label", "ap"),
    [
        (ROAD, CAR, 25.0),
        (CAR, CAR, 100.0),  # a group of cars
        (CAR, PERSON, 25.0),  # no group of persons
        (STATIC, CAR, 100.0),  # void
        (1000 * CARAVAN, CAR, 25.0),  # not void, as its ids are not those of a void label
        (CARAVAN, CAR, 100.0),  # a group of caravans is
    ],
)
def test_what_a_false_prediction_may_lie_in(
    value: int,
    label: int,
    ap: float,
    tmp_path: Path,
    run_official: Callable[..., dict[str, Any]],
) -> None:
    """A surer false prediction spoils the curve, unless it lies in what is ignored.

    Its steps are half the distance between both neighbours: 0.5 * 0.5 (precision at full recall)
    + 0.5 * 0 (precision of the false one).
    """
    scene = scene_with(**{f"id{1000 * label}": OBJECT, f"id{value}": ELSEWHERE})
    root = write_truth(tmp_path / "data", {NAME: scene})
    found = [(mask_of(OBJECT), label, 0.5), (mask_of(ELSEWHERE), label, 0.9)]
    numbers = assert_equal_to_official(root, {NAME: found}, tmp_path, run_official)
    assert numbers[f"AP_{INSTANCE_CLASSES[label]}"] == pytest.approx(ap)


def test_where_all_is_ignored_the_official_evaluator_fails_and_we_say_zero(
    tmp_path: Path, run_official: Callable[..., dict[str, Any]]
) -> None:
    scene = scene_with(**{f"id{1000 * CAR}": OBJECT, f"id{STATIC}": ELSEWHERE})
    root = write_truth(tmp_path / "data", {NAME: scene})
    folder = write_folder(tmp_path / "folder", {NAME: [(mask_of(ELSEWHERE), CAR, 0.9)]})
    with pytest.raises(IndexError):
        run_official(root, folder)
    assert cityscapes_ap(root, folder)["AP_car"] == 0


def test_nothing_found_and_nothing_there(tmp_path: Path) -> None:
    car, road = scene_with(**{f"id{1000 * CAR}": OBJECT}), np.full(SIZE, ROAD)
    root = write_truth(tmp_path / "data", {NAME: car})
    numbers = cityscapes_ap(root, write_coco(tmp_path / "none.json", {}))
    assert {key for key, value in numbers.items() if value is not None} == {"AP", "AP50", "AP_car"}
    assert numbers["AP"] == numbers["AP50"] == numbers["AP_car"] == 0
    bare = write_truth(tmp_path / "bare", {NAME: road})
    found = {NAME: [(mask_of(OBJECT), CAR, 0.5)]}
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Mean of empty slice")
        numbers = cityscapes_ap(bare, write_folder(tmp_path / "folder", found))
    assert set(numbers.values()) == {None}


def test_classes_have_their_official_ids(tmp_path: Path) -> None:
    """Each class alone is found under its own id only."""
    for label, name in INSTANCE_CLASSES.items():
        root = write_truth(tmp_path / name, {NAME: scene_with(**{f"id{1000 * label}": OBJECT})})
        for other in INSTANCE_CLASSES:
            path = tmp_path / f"{name}_{other}.json"
            found = write_coco(path, {NAME: [(mask_of(OBJECT), other, 0.5)]})
            assert cityscapes_ap(root, found)[f"AP_{name}"] == (100 if other == label else 0)


def test_no_traces_are_left(streets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    folder = write_folder(tmp_path / "folder", perturbed(streets, np.random.default_rng(0)))
    package = Path(official.__file__).parent
    settings_before, had_alias = dict(vars(official.args)), hasattr(np, "in1d")

    def everything() -> list[Path]:
        places = [tmp_path, streets, package]
        return [p for place in places for p in sorted(place.rglob("*")) if p.suffix != ".pyc"]

    before = everything()
    numbers = evaluate_predictions("cityscapes_ap", str(streets), str(folder))
    assert numbers["AP"] is not None
    assert list(numbers) == list(METRICS.find("cityscapes_ap").keys)
    assert everything() == before
    assert vars(official.args) == settings_before
    assert hasattr(np, "in1d") == had_alias


@pytest.fixture
def small(tmp_path: Path) -> tuple[Path, Path]:
    """Truth of two images, and a folder with good predictions of both."""
    car = scene_with(**{f"id{1000 * CAR}": OBJECT})
    root = write_truth(tmp_path / "data", {NAME: car, "town_000001_000019": car})
    return root, write_folder(tmp_path / "folder", truth_as_predictions(root))


def test_every_image_needs_its_text_file(small: tuple[Path, Path], run_official: Any) -> None:
    root, folder = small
    (folder / f"{NAME}_pred.txt").rename(folder / "masks" / f"{NAME}.txt")
    with pytest.raises(UserError, match=r"town_000000_000019_0.png: cannot be read"):
        cityscapes_ap(root, folder)  # found there, but paths are relative to the text file
    shutil.copy(folder / "masks" / f"{NAME}.txt", folder)
    with pytest.raises(UserError, match=f"has 2 files {NAME}"):
        cityscapes_ap(root, folder)
    for path in folder.rglob(f"{NAME}*.txt"):
        path.unlink()
    with pytest.raises(SystemExit):
        run_official(root, folder)
    with pytest.raises(UserError, match=f"has 0 files {NAME}.*an empty one says"):
        cityscapes_ap(root, folder)
    (folder / f"{NAME}.txt").write_text("")
    assert cityscapes_ap(root, folder)["AP"] == pytest.approx(50)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("masks/a.png 26", "line 1: is 'masks/a.png 26'; write `mask.png labelId score`"),
        ("masks/a.png 26 0.5 0.5", "write `mask.png labelId score`"),
        ("masks/a.png car 0.5", "write `mask.png labelId score`"),
        ("masks/a.png 26 nan", "write `mask.png labelId score`"),
        ("masks/a.png inf 0.5", "write `mask.png labelId score`"),
        ("masks/a.png 99 0.5", "99 is not a label id of Cityscapes"),
        ("../a.png 26 0.5", "../a.png lies outside of"),
        ("masks/none.png 26 0.5", "none.png: cannot be read"),
        ("masks/text.png 26 0.5", "text.png: cannot be read"),
        ("masks/large.png 26 0.5", "large.png: is 100x50 pixels, but its image is 96x48"),
        ("masks/a.png 26 0.5\nmasks/../masks/a.png 26 0.4", "line 2: .* appears twice"),
    ],
)
def test_faulty_folder_is_told(small: tuple[Path, Path], line: str, told: str) -> None:
    root, folder = small
    Image.new("L", SIZE[::-1], 255).save(folder / "masks/a.png")
    Image.new("L", SIZE[::-1], 255).save(folder.parent / "a.png")
    Image.new("L", (100, 50), 255).save(folder / "masks/large.png")
    (folder / "masks/text.png").write_text("no image")
    (folder / f"{NAME}_pred.txt").write_text(line + "\n")
    with pytest.raises(UserError, match=told) as caught:
        cityscapes_ap(root, folder)
    assert "\n" not in str(caught.value)


def test_masks_of_any_kind_of_png(small: tuple[Path, Path], run_official: Any) -> None:
    """Every non-zero pixel counts once the image is grey, as the official evaluator has it."""
    root, folder = small
    path = folder / "masks" / f"{NAME}_0.png"
    mask = mask_of(np.s_[2:22, 2:20])
    for image in (
        Image.fromarray(mask),
        Image.fromarray(mask.astype(np.uint8)),
        Image.fromarray(np.stack([mask * 200] * 3, axis=2).astype(np.uint8)),
    ):
        image.save(path)
        assert cityscapes_ap(root, folder) == as_numbers(run_official(root, folder))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"image_id": 1}, "image 1 is not in the ground truth"),
        ({"category_id": 0}, "category 0 is not in the ground truth"),
        ({"category_id": CARAVAN}, "category 29 is not in the ground truth"),
        ({"segmentation": {"size": [3, 3], "counts": "09"}}, r"RLE of size \[3, 3\]"),
        ({"score": "high"}, "score is 'high'; write a finite number"),
    ],
)
def test_faulty_coco_results_are_told(
    small: tuple[Path, Path], tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    root, _ = small
    path = write_coco(tmp_path / "predictions.json", truth_as_predictions(root))
    entries = json.loads(path.read_text())
    path.write_text(json.dumps([entries[0] | change]))
    with pytest.raises(UserError, match=told):
        cityscapes_ap(root, path)


def test_missing_inputs_are_told(small: tuple[Path, Path], tmp_path: Path) -> None:
    root, folder = small
    with pytest.raises(UserError, match="none: no such file"):
        cityscapes_ap(root, tmp_path / "none")
    with pytest.raises(UserError, match=r"unpack gtFine_trainvaltest\.zip"):
        cityscapes_ap(tmp_path / "none", folder)


def test_the_official_evaluator_stays_out_of_a_dry_run() -> None:
    """Reading experiments must not import what only scoring needs."""
    code = "import sys, pointrend_repro.experiments.grid; print('cityscapesscripts' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
