"""Boundary AP against a plain implementation of its definition (2103.16562, section 4)."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_utils

from pointrend_repro.base.errors import UserError
from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.evaluation import evaluate_predictions

HEIGHT, WIDTH = 60, 80  # the diagonal is 100 pixels
# 2 % of it, and 0.5 %, or the one pixel that is the least.
THICKNESS_PX = {"boundary_ap": 2, "boundary_ap_cityscapes": 1}
THRESHOLDS = np.linspace(0.5, 0.95, 10)


def boundary(mask, thickness):
    """The pixels that are not further than the thickness from a pixel outside the mask."""
    padded = np.pad(mask, thickness)  # beyond the image is outside
    inner = np.ones_like(mask)
    for dy in range(2 * thickness + 1):
        for dx in range(2 * thickness + 1):
            inner &= padded[dy : dy + HEIGHT, dx : dx + WIDTH]
    return mask & ~inner


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def boundary_iou(a, b, thickness):
    return min(iou(a, b), iou(boundary(a, thickness), boundary(b, thickness)))


def rle(mask):
    encoded = mask_utils.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def rectangle(x0, y0, width, height):
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[y0 : y0 + height, x0 : x0 + width] = True
    return mask


def write(folder, truth, predictions):
    """A ground truth with one image of each true mask, and one prediction for each."""
    images = [{"id": i, "height": HEIGHT, "width": WIDTH} for i in range(1, len(truth) + 1)]
    annotations = [
        {
            "id": i,
            "image_id": i,
            "category_id": 1,
            "iscrowd": 0,
            "bbox": mask_utils.toBbox(rle(mask)).tolist(),
            "area": int(mask.sum()),
            "segmentation": rle(mask),
        }
        for i, mask in enumerate(truth, start=1)
    ]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "a"}]}
    results = [
        {"image_id": i, "category_id": 1, "score": 0.9, "segmentation": rle(mask)}
        for i, mask in enumerate(predictions, start=1)
    ]
    (folder / "truth.json").write_text(json.dumps(content))
    (folder / "predictions.json").write_text(json.dumps(results))
    return folder / "truth.json", folder / "predictions.json"


def test_the_truth_itself_scores_100(tmp_path):
    masks = [rectangle(3, 4, 30, 20), rectangle(0, 0, 80, 60), rectangle(70, 50, 5, 4)]
    scores = evaluate_predictions("boundary_ap", *write(tmp_path, masks, masks))
    assert scores["AP"] == pytest.approx(100)
    assert scores["AP75"] == pytest.approx(100)


@pytest.mark.parametrize("metric", THICKNESS_PX)
@settings(max_examples=40, deadline=None)
@given(
    x0=st.integers(0, 60),
    y0=st.integers(0, 40),
    width=st.integers(6, 20),
    height=st.integers(6, 20),
    shift=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    grow=st.tuples(st.integers(-3, 3), st.integers(-3, 3)),
)
def test_one_object_matches_up_to_its_boundary_iou(
    tmp_path_factory, metric, x0, y0, width, height, shift, grow
):
    truth = rectangle(x0, y0, width, height)
    found = rectangle(x0 + shift[0], y0 + shift[1], width + grow[0], height + grow[1])
    overlap = boundary_iou(truth, found, THICKNESS_PX[metric])
    files = write(tmp_path_factory.mktemp("boundary"), [truth], [found])
    expected = 100 * np.mean(overlap >= THRESHOLDS)
    assert evaluate_predictions(metric, *files)["AP"] == pytest.approx(expected)


def test_a_blurred_boundary_costs_more_than_in_mask_ap(tmp_path):
    truth, rounder = rectangle(10, 10, 40, 40), rectangle(12, 12, 36, 36)
    files = write(tmp_path, [truth], [rounder])
    boundary_ap = evaluate_predictions("boundary_ap", *files)["AP"]
    assert boundary_ap < evaluate_predictions("coco_ap", *files)["AP"]


def test_the_thinner_a_boundary_the_more_a_shift_costs(tmp_path):
    files = write(tmp_path, [rectangle(10, 10, 40, 40)], [rectangle(11, 10, 40, 40)])
    metrics = ("boundary_ap_cityscapes", "boundary_ap", "coco_ap")
    thin, thick, whole = (evaluate_predictions(metric, *files)["AP"] for metric in metrics)
    assert thin < thick < whole


def test_the_thickness_goes_into_records_and_the_thin_one_is_for_streets():
    thick, thin = METRICS.find("boundary_ap"), METRICS.find("boundary_ap_cityscapes")
    assert (thick.settings, thick.layouts) == ({"dilation_ratio": 0.02}, ("coco", "cityscapes"))
    assert (thin.settings, thin.layouts) == ({"dilation_ratio": 0.005}, ("cityscapes",))


def test_no_predictions_score_zero_and_no_objects_score_nothing(tmp_path):
    truth, predictions = write(tmp_path, [rectangle(3, 4, 30, 20)], [])
    assert evaluate_predictions("boundary_ap", truth, predictions)["AP"] == 0
    content = json.loads(truth.read_text())
    truth.write_text(json.dumps(content | {"annotations": []}))
    assert evaluate_predictions("boundary_ap", truth, predictions)["AP"] is None


def test_a_mask_of_another_size_is_refused(tmp_path):
    truth, predictions = write(tmp_path, [rectangle(3, 4, 30, 20)], [rectangle(3, 4, 30, 20)])
    results = json.loads(predictions.read_text())
    results[0]["segmentation"] = rle(np.ones((5, 5), dtype=bool))
    predictions.write_text(json.dumps(results))
    with pytest.raises(UserError, match=r"predictions.json: prediction 0 .* RLE of size"):
        evaluate_predictions("boundary_ap", truth, predictions)
