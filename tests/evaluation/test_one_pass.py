"""Several metrics of one prediction at once: as each alone, and no file checked twice."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pointrend_repro.base import json_list, long_list
from pointrend_repro.base.errors import UserError
from pointrend_repro.data.coco_synsets import COCO_CATEGORIES
from pointrend_repro.data.label_images import CLASS_NAMES
from pointrend_repro.declarations.metric import METRICS
from pointrend_repro.evaluation import instance_results, official_files
from pointrend_repro.pipeline.steps.evaluation import run_evaluation, run_evaluations
from small_experiment import CocoBuilder

RESAMPLES = 3


@pytest.fixture
def objects(coco_builder: CocoBuilder, tmp_path: Path) -> dict[str, Path]:
    """Ground truths by metric; `found.json` lies beside the first."""
    truth = coco_builder(val_images=4) / "annotations/instances_val2017.json"
    content = json.loads(truth.read_text())
    ids = {c["id"]: COCO_CATEGORIES[k] for k, c in enumerate(content["categories"])}
    for entry in content["annotations"]:
        entry["category_id"] = ids[entry["category_id"]].id
    for category in content["categories"]:
        known = ids[category["id"]]
        category |= {"id": known.id, "synset": known.synset, "frequency": "f"}
    truth.write_text(json.dumps(content))
    for image in content["images"]:
        image |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    lvis = truth.with_name("lvis.json")
    lvis.write_text(json.dumps(content))
    write_found(truth.with_name("found.json"), content)
    return {"boundary_ap": truth, "coco_ap": truth, "lvis_ap_star": lvis}


def write_found(path: Path, content: dict[str, Any]) -> None:
    """The objects themselves, some of them moved."""
    from pycocotools import mask as mask_utils

    rng = np.random.default_rng(0)
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    found = []
    for entry in content["annotations"]:
        (rle,) = mask_utils.frPyObjects(entry["segmentation"], *sizes[entry["image_id"]])
        mask = np.roll(mask_utils.decode(rle), rng.integers(0, 4), axis=1)
        rle = mask_utils.encode(np.asfortranarray(mask))
        found.append(
            {
                **{key: entry[key] for key in ("image_id", "category_id", "bbox")},
                "score": float(rng.random()),
                "segmentation": {**rle, "counts": rle["counts"].decode()},
            }
        )
    path.write_text(json.dumps(found))
    path.with_suffix(".origin.json").write_text('{"preset": "p"}')


@pytest.fixture
def streets(tmp_path: Path) -> dict[str, Path]:
    rng = np.random.default_rng(1)
    for number in range(3):
        truth = np.sort(rng.choice(list(CLASS_NAMES), (30, 40)), axis=1)
        for folder, ending, ids in (
            ("gtFine/val/town", "_gtFine_labelIds", truth),
            ("labels", "", np.roll(truth, 2, axis=0)),
        ):
            path = tmp_path / folder / f"town_{number:06}_000019{ending}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(ids.astype(np.uint8)).save(path)
    (tmp_path / "labels.origin.json").write_text('{"preset": "p"}')
    return {"cityscapes_miou": tmp_path, "trimap_miou": tmp_path}


def told(path: Path) -> dict[str, Any]:
    """A metric file without what tells of a single run, such as what else its process loaded."""
    content: dict[str, Any] = json.loads(path.read_text())
    of_a_run = ("command", "started", "wall_s", "peak_memory_mb", "code_digest", "code_modules")
    for key in of_a_run:
        del content["origin"]["evaluate"][key]
    return content


@pytest.mark.parametrize("kind", ["objects", "streets"])
def test_the_files_are_those_of_single_evaluations(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    truths: dict[str, Path] = request.getfixturevalue(kind)
    first = next(iter(truths.values()))
    predictions = first.with_name("found.json") if kind == "objects" else first / "labels"
    run_evaluations(truths, predictions, folder=tmp_path / "all", resamples=RESAMPLES)
    for metric, truth in truths.items():
        alone = tmp_path / f"{metric}.json"
        run_evaluation(metric, truth, predictions, output=alone, resamples=RESAMPLES)
        assert told(tmp_path / "all" / alone.name) == told(alone)
        assert told(alone)["values"].keys() == set(METRICS.find(metric).keys)
        assert set(METRICS.find(metric).keys.values()) == {"%"}
        assert "resampled" in told(alone)


def test_each_file_is_checked_once(
    objects: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Counter[str] = Counter()

    def counting(of: Callable[..., Any]) -> Callable[..., Any]:
        def read_and_count(path: Path, *keys: str, **options: bool) -> Any:
            read[path.name] += 1
            return of(path, *keys, **options)

        return read_and_count

    counted = counting(long_list.read_with_long_list)
    monkeypatch.setattr(official_files, "read_with_long_list", counted)
    monkeypatch.setattr(instance_results, "read_json_list", counting(json_list.read_json_list))
    found = objects["coco_ap"].with_name("found.json")
    run_evaluations(objects, found, folder=tmp_path, resamples=RESAMPLES)
    assert read == {"found.json": 1, "instances_val2017.json": 1, "lvis.json": 1}


def test_label_images_are_read_once_by_us(
    streets: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The official evaluator reads them once more, and makes the number."""
    from pointrend_repro.evaluation import trimap

    read: Counter[str] = Counter()
    read_pair = trimap.read_pair

    def counting(pair: Any) -> Any:
        read[pair.truth.name] += 1
        return read_pair(pair)

    monkeypatch.setattr(trimap, "read_pair", counting)
    run_evaluations(streets, tmp_path / "labels", folder=tmp_path, resamples=RESAMPLES)
    assert set(read.values()) == {1}
    assert len(read) == 3


def test_who_fails_fails_alone_and_says_so_in_its_own_log(
    objects: dict[str, Path], tmp_path: Path
) -> None:
    objects["lvis_ap_star"].write_text("{}")
    found = objects["coco_ap"].with_name("found.json")
    pairs = [f"{metric}={truth}" for metric, truth in objects.items()]
    command = [sys.executable, "-m", "pointrend_repro", "evaluate-all", *pairs]
    done = subprocess.run(
        [*command, "--predictions", str(found), "--output", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    out = tmp_path / "out"
    assert done.returncode == 2
    (told,) = done.stderr.splitlines()
    assert told.startswith(
        f"pointrend-repro: error: {found}: could not be scored by lvis_ap_star: "
        f"{objects['lvis_ap_star']}: has no list"
    )
    assert told.endswith(f"; see {out / 'lvis_ap_star.log'}")
    assert sorted(path.name for path in out.glob("*.json")) == ["boundary_ap.json", "coco_ap.json"]
    (line,) = (out / "lvis_ap_star.log").read_text().splitlines()
    assert line.startswith(f"pointrend-repro: error: {objects['lvis_ap_star']}: has no list")
    assert (out / "coco_ap.log").read_text() == ""


def test_a_fault_of_the_program_is_told_by_its_traceback(
    objects: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("pointrend_repro.evaluation.lvis_ap.cocofy", lambda _: 1 / 0)
    found = objects["coco_ap"].with_name("found.json")
    with pytest.raises(
        UserError, match=r"could not be scored by lvis_ap_star: ZeroDivisionError: "
    ):
        run_evaluations(objects, found, folder=tmp_path / "out")
    assert (tmp_path / "out/coco_ap.json").exists()
    assert "ZeroDivisionError" in (tmp_path / "out/lvis_ap_star.log").read_text()
    assert capfd.readouterr() == ("", "")


def test_what_no_metric_can_do_is_refused_before_any(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no metric 'coco_app'"):
        run_evaluations({"coco_app": tmp_path}, tmp_path, folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_libraries_print_goes_to_the_log_of_its_metric(
    objects: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def speak(path: Path, *keys: str, **options: bool) -> Any:
        os.write(2, b"from C\n")
        print("from Python")
        return long_list.read_with_long_list(path, *keys, **options)

    monkeypatch.setattr(official_files, "read_with_long_list", speak)
    found = objects["coco_ap"].with_name("found.json")
    run_evaluations({"coco_ap": objects["coco_ap"]}, found, folder=tmp_path / "out")
    assert (tmp_path / "out/coco_ap.log").read_text() == "from C\nfrom Python\n"
    assert capfd.readouterr() == ("", "")
    os.write(1, b"as before")
    assert capfd.readouterr().out == "as before"
