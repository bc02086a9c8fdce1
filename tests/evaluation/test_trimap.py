import tracemalloc
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from cityscapesscripts.helpers.labels import labels
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from pointrend_repro.data.generated.cityscapes_layout import generate_cityscapes
from pointrend_repro.evaluation import evaluate_predictions
from pointrend_repro.evaluation.semantic_iou import cityscapes_miou
from pointrend_repro.evaluation.trimap import (
    HALF_WIDTHS_PX,
    trimap_confusion,
    trimap_count,
    trimap_miou,
)
from pointrend_repro.settings.generated import GeneratedSettings

EVALUATED = np.array([x.id for x in labels if x.id >= 0 and not x.ignoreInEval])
ROAD, CAR, SKY, VOID, PARKING = 7, 26, 23, 0, 9

# Few ids, so that there are areas; ignored ones below, between and above the evaluated ones.
IDS = st.sampled_from([VOID, PARKING, 29, ROAD, CAR, 33])
SHAPES = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14)
MAPS = arrays(np.uint8, SHAPES, elements=IDS, fill=IDS)


def in_trimap(truth: np.ndarray, half_width_px: int) -> np.ndarray:
    """The definition, word for word: every pixel against every other, in whole numbers."""
    y, x = (axis.ravel() for axis in np.indices(truth.shape))
    ids = truth.ravel()
    evaluated = np.isin(ids, EVALUATED)
    found = np.zeros(ids.size, dtype=bool)
    for k in np.flatnonzero(evaluated):
        others = evaluated & (ids != ids[k])
        squared = (y[others] - y[k]) ** 2 + (x[others] - x[k]) ** 2
        found[k] = bool((squared <= half_width_px**2).any())
    return found.reshape(truth.shape)


def expected_count(truth: np.ndarray, half_widths_px: tuple[int, ...]) -> np.ndarray:
    return np.sum([in_trimap(truth, r) for r in half_widths_px], axis=0)


def write(root: Path, index: int, truth: np.ndarray, predicted: np.ndarray) -> None:
    stem = f"edgeheim_{index:06d}_000019"
    for folder, ending, ids in [
        (root / "gtFine/val/edgeheim", "gtFine_labelIds", truth),
        (root / "predictions", "leftImg8bit", predicted),
    ]:
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(ids, dtype=np.uint8)).save(folder / f"{stem}_{ending}.png")


@settings(max_examples=150, deadline=None)
@given(truth=MAPS, half_widths_px=st.sampled_from([(1,), (2, 3), (1, 4, 5), HALF_WIDTHS_PX]))
def test_equals_the_definition_on_any_map(truth, half_widths_px):
    found = trimap_count(truth, half_widths_px)
    np.testing.assert_array_equal(found, expected_count(truth, half_widths_px))


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_definition_on_areas_wider_than_the_trimaps(seed):
    rng = np.random.default_rng(seed)
    centres, ids = rng.uniform(0, 64, (7, 2)), [ROAD, CAR, SKY, VOID, PARKING, 17, ROAD]
    y, x = np.mgrid[:64, :72]
    nearest = np.argmin([(y - a) ** 2 + (x - b) ** 2 for a, b in centres], axis=0)
    truth = np.array(ids, dtype=np.uint8)[nearest]
    truth[rng.integers(64), rng.integers(72)] = 33  # a class of one pixel
    expected = expected_count(truth, HALF_WIDTHS_PX)
    assert set(np.unique(expected)) == {0, 1, 2, 3, 4}
    np.testing.assert_array_equal(trimap_count(truth, HALF_WIDTHS_PX), expected)


@pytest.mark.parametrize(("dy", "dx", "r"), [(3, 4, 5), (6, 8, 10), (12, 16, 20), (0, 20, 20)])
def test_a_distance_of_exactly_r_is_inside(dy, dx, r):
    truth = np.full((dy + 1, dx + 1), VOID, dtype=np.uint8)
    truth[0, 0], truth[dy, dx] = ROAD, CAR
    assert trimap_count(truth, (r - 1,)).sum() == 0
    assert trimap_count(truth, (r,)).sum() == 2


def test_a_straight_border_has_r_pixels_on_each_side():
    truth = np.full((3, 60), ROAD, dtype=np.uint8)
    truth[:, 30:] = CAR
    for r in HALF_WIDTHS_PX:
        inside = np.flatnonzero(trimap_count(truth, (r,))[1])
        assert (inside[0], inside[-1], len(inside)) == (30 - r, 29 + r, 2 * r)


def test_an_ignored_band_is_seen_across_but_makes_no_trimap():
    row = [ROAD] * 10 + [VOID] * 5 + [PARKING] * 2 + [CAR] * 10
    found = trimap_count(np.array([row], dtype=np.uint8), (7, 8, 10))[0]
    # Road's last pixel and car's first are 8 apart.
    assert found.tolist() == [0] * 7 + [1, 1, 2] + [0] * 7 + [2, 1, 1] + [0] * 7


@pytest.mark.parametrize("ids", [ROAD, VOID, 33])
def test_a_map_of_one_class_has_no_trimap(ids):
    assert trimap_count(np.full((5, 9), ids, dtype=np.uint8), HALF_WIDTHS_PX).sum() == 0


@settings(max_examples=30, deadline=None)
@given(data=st.data(), shape=SHAPES)
def test_confusion_counts_each_trimap(data, shape):
    truth = data.draw(arrays(np.uint8, shape, elements=IDS, fill=IDS))
    predicted = data.draw(arrays(np.uint8, shape, elements=st.integers(0, 33)))
    masks = [in_trimap(truth, r) for r in (1, 2, 5)] + [np.ones(shape, dtype=bool)]
    expected = np.zeros((4, 34, 34), dtype=int)
    for matrix, mask in zip(expected, masks, strict=True):
        np.add.at(matrix, (truth[mask], predicted[mask]), 1)
    np.testing.assert_array_equal(trimap_confusion(truth, predicted, (1, 2, 5)), expected)


@settings(max_examples=25, deadline=None)
@given(data=st.data(), truths=st.lists(MAPS, min_size=1, max_size=3))
def test_equals_the_official_tool_on_truth_cut_down_to_the_trimap(data, truths):
    pairs = [
        (truth, data.draw(arrays(np.uint8, truth.shape, elements=st.integers(0, 33))))
        for truth in truths
    ]
    with TemporaryDirectory() as folder:
        whole = Path(folder, "whole")
        for index, pair in enumerate(pairs):
            write(whole, index, *pair)
        scores = trimap_miou(whole, whole / "predictions")
        expected = {"mIoU": cityscapes_miou(whole, whole / "predictions")["mIoU"]}
        for r in HALF_WIDTHS_PX:
            cut = Path(folder, str(r))
            for index, (truth, predicted) in enumerate(pairs):
                write(cut, index, np.where(in_trimap(truth, r), truth, VOID), predicted)
            expected[f"mIoU@r={r}"] = cityscapes_miou(cut, cut / "predictions")["mIoU"]
    assert scores == expected


def test_generated_scenes(tmp_path):
    options = GeneratedSettings(train_images=0, val_images=3, width_px=256, height_px=128)
    generate_cityscapes(tmp_path / "truth", options)
    (tmp_path / "shifted").mkdir()
    for path in (tmp_path / "truth").glob("gtFine/val/*/*_labelIds.png"):
        shifted = np.roll(np.asarray(Image.open(path)), 2, axis=1)
        Image.fromarray(shifted).save(tmp_path / "shifted" / path.name)
    scores = evaluate_predictions("trimap_miou", tmp_path / "truth", tmp_path / "shifted")
    names = [*(f"mIoU@r={r}" for r in HALF_WIDTHS_PX), "mIoU"]
    assert list(scores) == names
    assert scores["mIoU"] == cityscapes_miou(tmp_path / "truth", tmp_path / "shifted")["mIoU"]
    # A shift spoils the borders: the narrower the trimap, the worse.
    assert sorted(names, key=scores.get) == names


def test_nothing_to_score(tmp_path):
    write(tmp_path, 0, np.full((4, 4), VOID), np.full((4, 4), ROAD))
    assert set(trimap_miou(tmp_path, tmp_path / "predictions").values()) == {None}
    write(tmp_path, 0, np.full((4, 4), ROAD), np.full((4, 4), ROAD))
    scores = trimap_miou(tmp_path, tmp_path / "predictions")
    assert scores.pop("mIoU") == 100
    assert set(scores.values()) == {None}


def test_memory_does_not_grow_with_the_images(tmp_path):
    ids = np.full((256, 512), ROAD)
    ids[:, 200:] = CAR
    peaks = []
    for count in (1, 8):
        for index in range(count):
            write(tmp_path / str(count), index, ids, ids)
        tracemalloc.start()
        trimap_miou(tmp_path / str(count), tmp_path / str(count) / "predictions")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
    # A full-size image has 16 times the pixels.
    assert 16 * max(peaks) < 500e6
