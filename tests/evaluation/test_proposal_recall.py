"""Average recall of proposals is pycocotools', whatever is left out on the way to it."""

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pycocotools.mask as mask_utils
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pointrend_repro.base.errors import UserError
from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.evaluation import evaluate_predictions, instance_results, score
from pointrend_repro.evaluation.bootstrap import image_counts, resample
from pointrend_repro.evaluation.scoring import ReadOnce

HEIGHT, WIDTH = 90, 140
Entry = dict[str, Any]


def rle_of(mask: np.ndarray) -> Entry:
    rle = mask_utils.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(mask.shape), "counts": rle["counts"].decode()}


def ellipse(place: np.ndarray) -> Entry:
    ys, xs = np.mgrid[:HEIGHT, :WIDTH]
    x, y, radius = place
    inside = (xs - x) ** 2 + 1.5 * (ys - y) ** 2 < max(radius, 2) ** 2
    inside[int(np.clip(y, 0, HEIGHT - 1)), int(np.clip(x, 0, WIDTH - 1))] = True
    return rle_of(inside)


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def annotation(number: int, image: int, mask: Entry, crowd: int = 0) -> Entry:
    return {
        "id": number,
        "image_id": image,
        "category_id": 1 + number % 3,
        "iscrowd": crowd,
        "segmentation": mask,
        "area": float(mask_utils.area(mask)),
        "bbox": mask_utils.toBbox(mask).tolist(),
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Objects of all sizes and crowds; 1200 proposals of one image, none of another, with ties."""
    folder = tmp_path_factory.mktemp("recall")
    rng = np.random.default_rng(0)
    images = [{"id": n, "height": HEIGHT, "width": WIDTH} for n in (40, 7, 19, 3, 88, 5)]
    truth: list[Entry] = []
    found: list[Entry] = []
    for image in images:
        for _ in range(0 if image["id"] == 3 else 5):
            place = rng.uniform([0, 0, 3], [WIDTH, HEIGHT, 90])
            crowd = int(rng.random() < 0.15)
            truth.append(annotation(len(truth), image["id"], ellipse(place), crowd))
            many = {40: 240, 88: 0}.get(image["id"], 25)
            for _ in range(many):
                mask = ellipse(place + rng.normal(0, 12, 3))
                score_ = round(float(rng.random()), 2)
                own = {"image_id": image["id"], "category_id": int(rng.integers(90, 99))}
                found.append({**own, "score": score_, "segmentation": mask})
    found.append(
        {"image_id": 3, "category_id": 1, "score": 0.5, "segmentation": truth[0]["segmentation"]}
    )
    for entry in found:
        entry["bbox"] = [-3.0, 0.0, 2.0, 1.0]  # not the mask's, which counts
    found = [found[k] for k in rng.permutation(len(found))]
    names = [{"id": n, "name": str(n)} for n in (1, 2, 3)]
    write(folder / "truth.json", {"images": images, "annotations": truth, "categories": names})
    write(folder / "found.json", found)
    boxes = [
        {**entry, "bbox": mask_utils.toBbox(entry["segmentation"]).tolist()} for entry in found
    ]
    write(folder / "boxes.json", [without(entry, "segmentation") for entry in boxes])
    return folder


def without(entry: Entry, key: str) -> Entry:
    return {name: value for name, value in entry.items() if name != key}


def official(folder: Path, kind: str, counts: list[int]) -> np.ndarray:
    """pycocotools' recall, (T, A, counts), run as its authors do, on one class."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "truth.json"))
        found = json.loads((folder / "found.json").read_text())
        entries = [without(entry, "bbox") | {"category_id": 1} for entry in found]
        evaluation = COCOeval(truth, truth.loadRes(entries), kind)
        evaluation.params.useCats, evaluation.params.maxDets = 0, counts
        evaluation.evaluate()
        evaluation.accumulate()
    recall = evaluation.eval["recall"]
    assert recall.shape[1] == 1
    return np.asarray(recall[:, 0])


@pytest.mark.parametrize(
    ("metric", "kind"), [("proposal_recall", "segm"), ("proposal_box_recall", "bbox")]
)
def test_numbers_are_the_official_tools(
    files: Path, metric: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instance_results, "_IMAGES_AT_ONCE", 2)
    counts = [*range(1, 41), 100, 316, 1000]
    recall = official(files, kind, counts)
    scored = score(metric, files / "truth.json", files / "found.json", ReadOnce())
    by_count = {count: recall[:, :, place].mean(axis=0) for place, count in enumerate(counts)}
    expected = {f"AR@{count}": by_count[count][0] for count in (10, 100, 1000)}
    expected |= {f"AR@1000_{size}": by_count[1000][k] for k, size in enumerate("SML", start=1)}
    for key, value in expected.items():
        assert scored.values[key] == pytest.approx(100 * value, abs=1e-9), key
    assert 5 < scored.values["AR@10"] < scored.values["AR@100"] < scored.values["AR@1000"] < 95
    ours = image_counts(metric, scored)
    assert ours is not None
    whole = ours.recall(np.ones(6, dtype=int))
    for count, row in by_count.items():
        assert whole[:, :, count - 1].mean(axis=1) == pytest.approx(row)
    curves = scored.curves
    assert curves is not None
    place = curves["counts"].index(100)
    assert curves["AR_M"][place] == pytest.approx(100 * by_count[100][2], abs=1e-3)
    by_threshold = recall[:, 0, counts.index(10)]
    assert curves["recall"]["10"] == pytest.approx(100 * by_threshold, abs=1e-3)
    assert set(scored.values) == set(METRICS.find(metric).keys)


def test_auc_is_the_area_under_the_plotted_curve(files: Path) -> None:
    """The definition, by the tool's own recall at every count."""
    counts = list(range(1, 1001))
    recall = official(files, "segm", counts).mean(axis=0)
    values = evaluate_predictions("proposal_recall", files / "truth.json", files / "found.json")
    axis = np.log10(counts)
    for size, key in enumerate(("AUC", "AUC_S", "AUC_M", "AUC_L")):
        area = sum(
            (axis[k + 1] - axis[k]) * (recall[size, k] + recall[size, k + 1]) / 2
            for k in range(999)
        )
        assert values[key] == pytest.approx(100 * area / 3), key  # the axis has three decades


def test_both_metrics_share_one_pass(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = [
        evaluate_predictions(metric, files / "truth.json", files / "found.json")
        for metric in ("proposal_recall", "proposal_box_recall")
    ]
    passes = []
    original = instance_results.InstanceResults.of_images
    monkeypatch.setattr(
        instance_results.InstanceResults,
        "of_images",
        lambda self, ids: passes.append(ids) or original(self, ids),
    )
    once = ReadOnce(["proposal_recall", "proposal_box_recall"])
    together = [
        score(metric, files / "truth.json", files / "found.json", once).values
        for metric in ("proposal_recall", "proposal_box_recall")
    ]
    assert together == alone
    assert sorted(image for ids in passes for image in ids) == [3, 5, 7, 19, 40, 88]


def test_files_without_masks_score_boxes(files: Path) -> None:
    boxes = evaluate_predictions("proposal_box_recall", files / "truth.json", files / "found.json")
    for metric in ("proposal_recall", "proposal_box_recall"):
        assert evaluate_predictions(metric, files / "truth.json", files / "boxes.json") == boxes


@pytest.mark.parametrize("metric", ["proposal_recall", "proposal_box_recall"])
def test_resampled_images_are_weighted_images(files: Path, metric: str, tmp_path: Path) -> None:
    truth = json.loads((files / "truth.json").read_text())
    found = json.loads((files / "found.json").read_text())
    scored = score(metric, files / "truth.json", files / "found.json", ReadOnce())
    counts = image_counts(metric, scored)
    assert counts is not None
    assert len(resample(counts, scored.values, 3)["values"]["AUC_L"]) == 3
    weights = [2, 0, 1, 3, 0, 1]  # images by rising id
    ids = [int(name) for name in counts.images]
    assert ids == [3, 5, 7, 19, 40, 88]
    copies = [(k, i) for k, (i, w) in enumerate(zip(ids, weights, strict=True)) for _ in range(w)]
    images, annotations, entries = [], [], []
    for new, (_, image) in enumerate(copies, start=1):
        images.append({"id": new, "height": HEIGHT, "width": WIDTH})
        annotations += [
            a | {"image_id": new} for a in truth["annotations"] if a["image_id"] == image
        ]
        entries += [e | {"image_id": new} for e in found if e["image_id"] == image]
    again = evaluate_predictions(
        metric,
        write(tmp_path / "truth.json", {**truth, "images": images, "annotations": annotations}),
        write(tmp_path / "found.json", entries),
    )
    assert counts.score(np.array(weights)) == pytest.approx(again)


SMALL = 12
MASKS = st.tuples(*[st.integers(0, SMALL - 1)] * 2, *[st.integers(1, SMALL)] * 2)
OF_IMAGES = st.lists(st.tuples(st.integers(1, 3), MASKS), min_size=1, max_size=7)


def rectangle(place: tuple[int, int, int, int]) -> np.ndarray:
    x, y, width, height = place
    mask = np.zeros((SMALL, SMALL), bool)
    mask[y : y + height, x : x + width] = True
    return mask


def scored(objects: list[Any], proposals: list[Any], scores: list[float]) -> dict[str, Any]:
    images = [{"id": n, "height": SMALL, "width": SMALL} for n in (1, 2, 3)]
    truth = [annotation(k, i, rle_of(rectangle(place))) for k, (i, place) in enumerate(objects)]
    found = [
        {"image_id": i, "category_id": 7, "score": s, "segmentation": rle_of(rectangle(place))}
        for (i, place), s in zip(proposals, scores, strict=True)
    ]
    with TemporaryDirectory() as folder:
        return dict(
            evaluate_predictions(
                "proposal_recall",
                write(Path(folder) / "truth.json", {"images": images, "annotations": truth}),
                write(Path(folder) / "found.json", found),
            )
        )


def slow_recall(objects: list[Any], proposals: list[Any], most: int, threshold: float) -> float:
    """Recall at one IoU with each image's first proposals. Slow and obvious."""
    taken: set[int] = set()
    used: dict[int, int] = {}
    for image, place in proposals:
        used[image] = used.get(image, 0) + 1
        best, best_iou = None, threshold
        for index, (own, there) in enumerate(objects):
            if own != image or index in taken or used[image] > most:
                continue
            one, other = rectangle(place), rectangle(there)
            iou = (one & other).sum() / (one | other).sum()
            if iou >= best_iou:  # of equals, COCO takes the last
                best, best_iou = index, iou
        if best is not None:
            taken.add(best)
    return len(taken) / len(objects)


@settings(max_examples=60, deadline=None)
@given(objects=OF_IMAGES, proposals=st.lists(st.tuples(st.integers(1, 3), MASKS), max_size=20))
def test_equals_a_slow_implementation(objects: list[Any], proposals: list[Any]) -> None:
    values = scored(objects, proposals, [1 - k / 100 for k in range(len(proposals))])
    thresholds = np.linspace(0.5, 0.95, 10)
    for most in (10, 100):
        each = [slow_recall(objects, proposals, most, t) for t in thresholds]
        assert values[f"AR@{most}"] == pytest.approx(100 * np.mean(each))
    assert values["AR@10"] <= values["AR@100"] <= values["AR@1000"]
    assert 0 <= values["AUC"] <= values["AR@1000"] + 1e-9
    assert values["AR@1000_M"] is None, "no object is as large"
    assert values["AR@1000_S"] == values["AR@1000"]


@settings(max_examples=30, deadline=None)
@given(objects=OF_IMAGES, proposals=OF_IMAGES, more=OF_IMAGES, data=st.data())
def test_what_does_not_change_recall(
    objects: list[Any], proposals: list[Any], more: list[Any], data: st.DataObject
) -> None:
    scores = [0.5 + k / 100 for k in range(len(proposals))]
    values = scored(objects, proposals, scores)
    order = data.draw(st.permutations(range(len(proposals))))
    shuffled = scored(objects, [proposals[k] for k in order], [scores[k] for k in order])
    assert shuffled == values, "the order of a file without ties"
    assert scored(objects, proposals, [10 * s - 3 for s in scores]) == values, "the scale of scores"
    added = scored(objects, [*proposals, *more], [*scores, *([0.1] * len(more))])
    for key, value in values.items():
        assert value is None or added[key] >= value - 1e-9, "more proposals behind the others"
    perfect = scored(objects, [*objects, *proposals], [0.9] * len(objects) + [0.1] * len(proposals))
    assert perfect["AR@1000"] == pytest.approx(100)


def test_nothing_to_find_and_nothing_found(files: Path, tmp_path: Path) -> None:
    nothing = write(tmp_path / "p.json", [])
    values = evaluate_predictions("proposal_recall", files / "truth.json", nothing)
    assert values["AR@10"] == values["AUC_L"] == 0
    content = json.loads((files / "truth.json").read_text())
    empty = write(tmp_path / "t.json", content | {"annotations": []})
    values = evaluate_predictions("proposal_recall", empty, files / "found.json")
    assert set(values.values()) == {None}


BAD = {
    "unknown image": (lambda p: p[1].update(image_id=9), "prediction 1 .*image 9 is not in"),
    "another size": (
        lambda p: p[1].update(segmentation=rle_of(np.ones((8, 9), bool))),
        r"prediction 1 .*RLE of size \[8, 9\], but image \d+ is \[90, 140\]",
    ),
    "one without a mask": (lambda p: p[1].pop("segmentation"), "prediction 1 .* 'segmentation'"),
    "polygons": (lambda p: p[1].update(segmentation=[[1, 1, 2, 1, 2, 2]]), "compressed RLE"),
    "no score": (lambda p: p[0].pop("score"), "prediction 0 .* has no 'score'"),
    "neither": (lambda p: [p[0].pop(k) for k in ("segmentation", "bbox")], "has no 'segmentation'"),
}


@pytest.mark.parametrize(("mutate", "message"), BAD.values(), ids=BAD.keys())
def test_bad_proposals_are_refused_in_one_line(
    files: Path, tmp_path: Path, mutate: Callable[[list[Entry]], object], message: str
) -> None:
    found = json.loads((files / "found.json").read_text())
    mutate(found)
    with pytest.raises(UserError, match=message) as caught:
        evaluate_predictions(
            "proposal_recall", files / "truth.json", write(tmp_path / "p.json", found)
        )
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("metric", ["proposal_recall", "proposal_box_recall"])
@pytest.mark.parametrize("boxes", [0, 1], ids=["no boxes", "one box"])
def test_proposals_without_masks_all_need_boxes(
    files: Path, tmp_path: Path, metric: str, boxes: int
) -> None:
    found = json.loads((files / "boxes.json").read_text())[:9]
    points = [entry | {"keypoints": [1.0, 1.0, 1.0]} for entry in found]
    faulty = write(
        tmp_path / "points.json", points[:boxes] + [without(e, "bbox") for e in points[boxes:]]
    )
    with pytest.raises(UserError, match=r"points\.json: not all .*'bbox'.* no masks"):
        evaluate_predictions(metric, files / "truth.json", faulty)


def test_truth_without_outlines_serves_for_boxes(files: Path, tmp_path: Path) -> None:
    content = json.loads((files / "truth.json").read_text())
    content["annotations"] = [without(entry, "segmentation") for entry in content["annotations"]]
    truth = write(tmp_path / "t.json", content)
    boxes = evaluate_predictions("proposal_recall", files / "truth.json", files / "boxes.json")
    assert evaluate_predictions("proposal_recall", truth, files / "boxes.json") == boxes
    with pytest.raises(UserError, match=r"annotations\[0\]: has no 'segmentation'"):
        evaluate_predictions("proposal_recall", truth, files / "found.json")
