"""`ensemble` pools result files as an obvious loop does, and refuses what is wrong."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as mask_utils
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.origins import require_as_recorded
from pointrend_repro.cli import app
from pointrend_repro.evaluation import evaluate_predictions
from pointrend_repro.evaluation.instance_results import index_results
from pointrend_repro.predictions.pooling import pool
from pointrend_repro.tools.ensemble.files import PoolSettings, write_ensemble
from pointrend_repro.tools.ensemble.members import read_members

REPOSITORY = Path(__file__).resolve().parents[2]
SIDE = 40
Entry = dict[str, Any]


def entry(image: int, category: int, box: tuple[int, int, int, int], score: float) -> Entry:
    """An object that fills its box but for a hole."""
    x, y, w, h = box
    mask = np.zeros((SIDE, SIDE), np.uint8, order="F")
    mask[y : y + h, x : x + w] = 1
    mask[y + h // 3 : y + h // 2, x + w // 3 : x + w // 2] = 0
    rle = mask_utils.encode(mask)
    segmentation = {"size": [SIDE, SIDE], "counts": rle["counts"].decode()}
    own = {"image_id": image, "category_id": category, "score": score}
    return own | {"segmentation": segmentation, "bbox": [float(v) for v in box]}


def write(path: Path, entries: Any) -> Path:
    path.write_text(json.dumps(entries))
    return path


def run(*arguments: object) -> str:
    """Return what is printed, or the one line of an error."""
    done = CliRunner().invoke(app, ["ensemble", *map(str, arguments)])
    if done.exit_code:
        assert isinstance(done.exception, UserError), done.output
        assert len(str(done.exception).splitlines()) == 1
        return f"error: {done.exception}"
    return done.output


def overlap_of(a: Entry, b: Entry, kind: str) -> float:
    if kind == "masks":
        first, second = (mask_utils.decode(e["segmentation"]).astype(bool) for e in (a, b))
        return (first & second).sum() / max((first | second).sum(), 1)
    (x, y, w, h), (u, v, k, m) = a["bbox"], b["bbox"]
    wide, high = min(x + w, u + k) - max(x, u), min(y + h, v + m) - max(y, v)
    shared = max(wide, 0) * max(high, 0)
    return shared / (w * h + k * m - shared)


def slow(found: list[Entry], *, nms: str, kind: str, iou: float) -> list[tuple[int, float]]:
    """Take the best that is left, lower or drop what it overlaps in its class, and repeat."""
    waiting = {k: e["score"] for k, e in enumerate(found)}
    taken = []
    while waiting:
        best = max(waiting, key=lambda k: (waiting[k], -k))
        taken.append((best, waiting.pop(best)))
        for k in list(waiting):
            share = overlap_of(found[k], found[best], kind)
            if found[k]["category_id"] != found[best]["category_id"] or share <= iou:
                continue
            if nms == "hard":
                del waiting[k]
            else:
                waiting[k] *= 1 - share
    return [(k, score) for k, score in taken if score >= (0.001 if nms == "soft_linear" else 0)]


@st.composite
def scenes(draw: st.DrawFn) -> list[Entry]:
    corner, side = st.integers(0, 15), st.integers(3, 24)
    # No two scores are equal, whose order rounding would decide.
    scores = draw(st.lists(st.integers(1, 1000), max_size=7, unique=True))
    return [
        entry(
            1,
            draw(st.integers(1, 2)),
            (draw(corner), draw(corner), draw(side), draw(side)),
            s / 997,
        )
        for s in scores
    ]


@settings(max_examples=60, deadline=None)
@given(
    found=scenes(), nms=st.sampled_from(["hard", "soft_linear"]),
    kind=st.sampled_from(["boxes", "masks"]), iou=st.sampled_from([0.1, 0.5, 1.0]),
    # Of some data sets, ids are hashes.
    more=st.sampled_from([0, 10**6, 2**70]), to_the_left=st.sampled_from([0, 30]),
)  # fmt: skip
def test_pooling_is_the_obvious_loop(
    found: list[Entry], nms: Any, kind: Any, iou: float, more: int, to_the_left: int
) -> None:
    for each in found:
        each["category_id"] += more
        each["bbox"][0] -= to_the_left  # boxes of other toolboxes may leave their image
    middle = len(found) // 2
    parts = [found[:middle], found[middle:]]
    pooled = pool(parts, [1.0, 1.0], nms=nms, nms_iou=iou, count=100, overlap=kind)
    expected = {
        id(found[k]["bbox"]): score for k, score in slow(found, nms=nms, kind=kind, iou=iou)
    }
    assert {id(e["bbox"]): e["score"] for e in pooled} == pytest.approx(expected, abs=1e-5)
    assert [e["score"] for e in pooled] == sorted((e["score"] for e in pooled), reverse=True)


def test_files_of_three_models(tmp_path: Path) -> None:
    a = write(
        tmp_path / "a.json", [entry(7, 1, (0, 0, 20, 20), 0.8), entry(2, 1, (5, 5, 9, 9), 0.5)]
    )
    b = write(
        tmp_path / "b.json", [entry(7, 1, (0, 0, 20, 20), 0.9), entry(7, 2, (0, 0, 20, 20), 0.3)]
    )
    c = write(tmp_path / "c.json", [])
    out = tmp_path / "deep" / "out.json"
    told = run(a, b, c, "--output", out, "--weights", "1,0.5,1", "--nms", "hard")
    assert "3 files, weights 1, 0.5, 1" in told
    found = json.loads(out.read_text())
    assert [(e["image_id"], e["category_id"]) for e in found] == [(2, 1), (7, 1), (7, 2)]
    assert [e["score"] for e in found] == pytest.approx([0.5, 0.8, 0.15])
    inputs = {json.dumps(e["segmentation"]) for p in (a, b) for e in json.loads(p.read_text())}
    assert {json.dumps(e["segmentation"]) for e in found} <= inputs
    record = require_as_recorded(out, "predict").origin["predict"]
    assert record["settings"]["weights"] == [1, 0.5, 1]
    assert len(record["input_digests"]) == 3


def test_weights_from_scores(tmp_path: Path) -> None:
    files = [
        write(tmp_path / f"{k}.json", [entry(1, 1, (20 * (k % 2), 20 * (k // 2), 9, 9), 1.0)])
        for k in range(3)
    ]
    out = tmp_path / "out.json"
    run(*files, "--output", out, "--scores", "77.21,76.95,77.38")
    # Formula 1 of the report: 0.6 + 0.4 (s - min) / (max - min).
    expected = sorted([0.6 + 0.4 * 0.26 / 0.43, 0.6, 1.0], reverse=True)
    assert [e["score"] for e in json.loads(out.read_text())] == pytest.approx(expected)
    run(*files, "--output", out, "--scores", "50,25,40", "--weighting", "linear_reweight")
    assert [e["score"] for e in json.loads(out.read_text())] == pytest.approx([1, 0.8, 0.5])


def test_results_without_boxes_as_solov2_writes_them(tmp_path: Path) -> None:
    boxed = write(tmp_path / "boxed.json", [entry(1, 1, (0, 0, 20, 20), 0.9)])
    lacking = entry(1, 1, (0, 0, 20, 18), 0.8)
    del lacking["bbox"]
    bare = write(tmp_path / "bare.json", [lacking])
    out = tmp_path / "out.json"
    run(boxed, bare, "--output", out)
    found = json.loads(out.read_text())
    assert [e["score"] for e in found] == pytest.approx([0.9, 0.8 * (1 - 0.9)])
    # pycocotools would take the area of a box for one mask and its own for another.
    assert not any("bbox" in e for e in found)
    run(boxed, bare, "--output", out, "--overlap", "masks", "--nms", "hard")
    assert len(json.loads(out.read_text())) == 1


def test_files_of_3d_futures_challenge(tmp_path: Path) -> None:
    """By the line in docs/ensemble.md: `bbox` begins at the box's centre in the winners' files."""
    page = (REPOSITORY / "docs/ensemble.md").read_text()
    (line,) = re.findall(r'`(python -c "[^"`]+")`', page)
    corner = (entry(1, 3, (4, 4, 20, 20), 0.9), entry(1, 3, (4, 4, 15, 17), 0.8))
    for number, each in enumerate(corner):
        x, y, w, h = each["bbox"]
        centred = each | {"bbox": [x + w / 2, y + h / 2, w, h]}
        write(tmp_path / f"corner{number}.json", [each])
        write(tmp_path / "a.json", {"images": [], "annotations": [centred]})
        subprocess.run([sys.executable, *shlex.split(line)[1:]], check=True, cwd=tmp_path)
        (tmp_path / "b.json").rename(tmp_path / f"centre{number}.json")
    scores = {}
    for name in ("corner", "centre"):
        out = tmp_path / f"{name}.json"
        run(tmp_path / f"{name}0.json", tmp_path / f"{name}1.json", "--output", out)
        scores[name] = [each["score"] for each in json.loads(out.read_text())]
    assert scores["centre"] == scores["corner"]


def test_no_more_than_asked_for_in_an_image(tmp_path: Path) -> None:
    many = [entry(i, 1, (x, x, 5, 5), 0.9 - 0.01 * x) for i in (1, 2) for x in range(0, 35, 6)]
    file, out = write(tmp_path / "many.json", many), tmp_path / "out.json"
    run(file, file, "--output", out, "--detections", "2")
    scores = [(e["image_id"], round(e["score"], 5)) for e in json.loads(out.read_text())]
    assert scores == [(1, 0.9), (1, 0.84), (2, 0.9), (2, 0.84)]


def test_it_is_scored_like_any_prediction(tmp_path: Path) -> None:
    objects = [entry(1, 1, (0, 0, 20, 20), 1.0), entry(1, 2, (10, 10, 25, 25), 1.0)]
    truth = {
        "images": [{"id": 1, "height": SIDE, "width": SIDE}],
        "categories": [{"id": 1}, {"id": 2}],
        "annotations": [
            e | {"id": k, "area": float(mask_utils.area(e["segmentation"])), "iscrowd": 0}
            for k, e in enumerate(objects)
        ],
    }
    annotations = write(tmp_path / "truth.json", truth)
    files = [write(tmp_path / f"{k}.json", [objects[k]]) for k in (0, 1)]
    out = tmp_path / "out.json"
    run(*files, "--output", out, "--annotations", annotations)
    assert evaluate_predictions("coco_ap", annotations, files[0])["AP"] == pytest.approx(50)
    assert evaluate_predictions("coco_ap", annotations, out)["AP"] == pytest.approx(100)
    other = write(tmp_path / "other.json", [entry(1, 9, (0, 0, 9, 9), 0.5)])
    told = run(files[0], other, "--output", out, "--annotations", annotations)
    assert "other.json: prediction 0 (from 0): category 9 is not in the ground truth" in told


def test_only_one_image_is_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written begins before the second image is read."""
    file = write(tmp_path / "a.json", [entry(i, 1, (0, 0, 9, 9), 0.5) for i in range(1, 6)])
    members, asked = read_members([file, file], None), []
    read = type(members[0]).of_images

    def counted(self: Any, image_ids: list[int]) -> list[Entry]:
        asked.extend(image_ids)
        return read(self, image_ids)

    monkeypatch.setattr(type(members[0]), "of_images", counted)
    write_ensemble(members, PoolSettings(weights=(1.0, 1.0)), tmp_path / "out.json")
    assert asked == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert len(index_results(tmp_path / "out.json")) == 5


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--weights", "1"], "--weights 1: 1 numbers for 2 files"),
        (["--weights", "1,x"], "must be numbers with commas between them"),
        (["--weights", "1,nan"], "must be finite numbers"),
        (["--weights", "1,0"], "weights: 0.0 is no finite number above 0"),
        (["--weights", "1,1", "--scores", "3,4"], "give one of them"),
        (["--scores", "3,0"], "--scores 3,0: must be above 0"),
        (["--iou", "0"], "iou: 0.0 is not above 0 and at most 1"),
        (["--iou", "1.5"], "iou: 1.5 is not above 0 and at most 1"),
        (["--iou", "nan"], "iou: nan is not above 0 and at most 1"),
        (["--detections", "0"], "detections: 0 is below 1"),
    ],
)
def test_options_that_mean_nothing(tmp_path: Path, options: list[str], problem: str) -> None:
    file, out = write(tmp_path / "a.json", [entry(1, 1, (0, 0, 9, 9), 0.5)]), tmp_path / "out.json"
    assert problem in run(file, file, "--output", out, *options)
    assert not out.exists()


def test_files_that_are_wrong_leave_an_older_output(tmp_path: Path) -> None:
    good = entry(1, 1, (0, 0, 9, 9), 0.5)
    a, out = write(tmp_path / "a.json", [good]), write(tmp_path / "out.json", ["older"])
    boxes = {k: v for k, v in good.items() if k != "segmentation"}
    broken = good | {"segmentation": {"size": [SIDE, SIDE], "counts": "0"}}
    del broken["bbox"]
    other_size = good | {"segmentation": {"size": [9, 9], "counts": "a2"}}
    for content, problem in (
        ([boxes], "bad.json: not all predictions have a 'segmentation', as those of"),
        ([good | {"score": -0.1}], "has score -0.1; scores that are weighted must be at least 0"),
        ([broken], "bad.json: prediction 0 (from 0): has an RLE of 0 pixels"),
        ([other_size], "bad.json: image 1 has masks of [9, 9] (height, width), but of [40, 40] in"),
        ([{"image_id": 1}], "bad.json: prediction 0 (from 0): has no 'category_id'"),
        ({"annotations": []}, "bad.json: must be a list of predictions"),
    ):
        bad = write(tmp_path / "bad.json", content)
        assert problem in run(a, bad, "--output", out), problem
        assert json.loads(out.read_text()) == ["older"]
        assert not (tmp_path / "out.origin.json").exists()
    assert "gone.json" in run(a, tmp_path / "gone.json", "--output", out)
    assert "is one of the files to read" in run(a, "--output", a)
    assert json.loads(a.read_text()) == [good]


@pytest.mark.parametrize("overlap", ["boxes", "masks"])
def test_a_broken_mask_leaves_an_older_output_and_its_record(tmp_path: Path, overlap: str) -> None:
    good = entry(1, 1, (0, 0, 9, 9), 0.5)
    a, out = write(tmp_path / "a.json", [good]), tmp_path / "out.json"
    run(a, "--output", out)
    before = out.read_bytes(), (tmp_path / "out.origin.json").read_bytes()
    broken = good | {"image_id": 2, "segmentation": {"size": [SIDE, SIDE], "counts": "!!!!"}}
    bad = write(tmp_path / "bad.json", [good, broken])
    told = run(a, bad, "--output", out, "--overlap", overlap)
    assert "bad.json: prediction 1 (from 0): has a broken RLE" in told
    assert (out.read_bytes(), (tmp_path / "out.origin.json").read_bytes()) == before


def test_an_output_that_belongs_to_something_else(tmp_path: Path) -> None:
    a = write(tmp_path / "a.json", [entry(1, 1, (0, 0, 9, 9), 0.5)])
    made = tmp_path / "made.json"
    run(a, "--output", made)
    before = (tmp_path / "made.origin.json").read_bytes()
    assert "made.pooled: results in COCO's format are .json" in run(
        made, "--output", tmp_path / "made.pooled"
    )
    assert "made.JSON: " in run(made, "--output", tmp_path / "made.JSON")
    # The record of a trained model, or of a result that has been moved away.
    write(tmp_path / "model.origin.json", {"train": {}})
    told = run(a, "--output", tmp_path / "model.json")
    assert "model.origin.json: is not the record of" in told
    assert json.loads((tmp_path / "model.origin.json").read_text()) == {"train": {}}
    assert (tmp_path / "made.origin.json").read_bytes() == before
    truth = write(tmp_path / "truth.json", {"images": []})
    assert "exists, and is no list of predictions" in run(a, "--output", truth)
    assert json.loads(truth.read_text()) == {"images": []}
    told = run(a, "--output", tmp_path / "made.origin.json")
    assert "made.origin.json: is the name of a record; choose another output" in told
    assert (tmp_path / "made.origin.json").read_bytes() == before
    run(made, "--output", tmp_path / "again.json")
    run(made, "--output", tmp_path / "again.json")  # its own record is replaced
    assert require_as_recorded(tmp_path / "again.json", "predict").origin["predict"]


def test_folders_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("a.json"), [entry(1, 1, (0, 0, 9, 9), 0.5)])
    assert ".: cannot be written: it is a folder" in run("a.json", "--output", ".")
    assert ".: is a folder, not a JSON file" in run(".", "a.json", "--output", "out.json")
    assert "is one of the files to read" in run("a.json", "--output", "./a.json")


def test_weights_below_which_nothing_is_left_are_warned_of(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", [entry(1, 1, (0, 0, 9, 9), 0.5)])
    out = tmp_path / "o.json"
    words = ["ensemble", str(file), str(file), "--output", str(out), "--weights", "0.001,0.001"]
    done = CliRunner().invoke(app, words)
    assert "nothing is left" in done.stderr
    assert "0 of 2 predictions are left" in done.stdout
    assert json.loads(out.read_text()) == []
    done = CliRunner().invoke(app, [*words[:-1], "0.01,0.01"])
    assert not done.stderr


def test_masks_that_are_not_there_are_not_compared(tmp_path: Path) -> None:
    boxes = [{"image_id": 1, "category_id": 1, "score": 0.5, "bbox": [0, 0, 5, 5]}]
    file, out = write(tmp_path / "boxes.json", boxes), tmp_path / "out.json"
    assert "has no masks; say --overlap boxes" in run(
        file, file, "--output", out, "--overlap", "masks"
    )
    run(file, file, "--output", out, "--nms", "hard")
    assert json.loads(out.read_text()) == boxes


def test_an_edited_file_of_this_project_is_refused(tmp_path: Path) -> None:
    file, out = write(tmp_path / "a.json", [entry(1, 1, (0, 0, 9, 9), 0.5)]), tmp_path / "o.json"
    write(tmp_path / "a.origin.json", {"predict": {"output_digest": "sha256:0"}})
    assert "a.json" in run(file, "--output", out)
    assert not out.exists()


def test_models_of_other_classes_are_warned_of(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{k}.json", [entry(1, k, (0, 0, 9, 9), 0.5)]) for k in (1, 2)]
    done = CliRunner().invoke(
        app, ["ensemble", *map(str, files), "--output", str(tmp_path / "o.json")]
    )
    assert "has no category id of" in done.stderr
    assert done.exit_code == 0


def test_numbers_of_other_pictures_are_refused(tmp_path: Path) -> None:
    """Those of `segment` count a gallery's pictures, which grow in the order they came."""
    boxes = [(0, 0, 9, 9), (5, 5, 9, 9)]
    named = [
        [entry(k + 1, 1, boxes[k], 0.9) | {"file_name": f} for k, f in enumerate(of)]
        for of in (["x.jpg", "y.jpg"], ["x.jpg", "y.jpg"], ["y.jpg", "x.jpg"])
    ]
    one, same, other = (write(tmp_path / f"{k}.json", each) for k, each in enumerate(named))
    assert len(read_members([one, same], None)) == 2
    with pytest.raises(UserError, match=r"2\.json: image 1 is y\.jpg, but in .*0\.json x\.jpg; "):
        read_members([one, other], None)
