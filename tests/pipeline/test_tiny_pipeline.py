"""Preset tiny from end to end on real COCO images, and AP* on real LVIS annotations."""

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from pycocotools import mask as mask_utils

from pointrend_repro import cli
from pointrend_repro.base.files import read_json
from pointrend_repro.data.coco_synsets import COCO_CATEGORIES
from pointrend_repro.data.segmentations import segmentation_mask
from pointrend_repro.reporting.collect import COLUMNS
from working_copy import WorkingCopy, make_copy

TABLE_COLUMNS = ["row", "column", "paper", "measured", "spread", "trials", "unit", "status"]
ROWS = ["4x conv, 28x28", "PointRend, 28x28", "PointRend, 224x224"]

Document = dict[str, Any]


def as_lvis(coco: Document) -> Document:
    """COCO annotations as an LVIS v0.5 file that says of every class whether it is there.

    Crowds have no place in LVIS: where there is one, the class is not exhaustively annotated.
    """
    objects = [a for a in coco["annotations"] if not a["iscrowd"]]
    crowds = [a for a in coco["annotations"] if a["iscrowd"]]
    seen: dict[int, set[int]] = {image["id"]: set() for image in coco["images"]}
    for annotation in coco["annotations"]:
        seen[annotation["image_id"]].add(annotation["category_id"])
    images = [
        image
        | {
            "neg_category_ids": [c.id for c in COCO_CATEGORIES if c.id not in seen[image["id"]]],
            "not_exhaustive_category_ids": sorted(
                {a["category_id"] for a in crowds if a["image_id"] == image["id"]}
            ),
        }
        for image in coco["images"]
    ]
    count = Counter(a["category_id"] for a in objects)
    categories = [
        {"id": c.id, "name": c.name, "synset": c.synset, "frequency": "c"}
        | {"instance_count": count[c.id], "image_count": sum(c.id in ids for ids in seen.values())}
        for c in COCO_CATEGORIES
    ]
    return {"images": images, "annotations": objects, "categories": categories}


def perfect_predictions(lvis: Document, *, shift_px: int = 0) -> list[Document]:
    """The objects of COCO's classes as a model would predict them, moved to the right."""
    synsets = {category["id"]: category["synset"] for category in lvis["categories"]}
    ids = {category.synset: category.id for category in COCO_CATEGORIES}
    sizes = {image["id"]: (image["height"], image["width"]) for image in lvis["images"]}
    predictions = []
    for annotation in lvis["annotations"]:
        synset = synsets[annotation["category_id"]]
        if synset not in ids:
            continue
        mask = segmentation_mask(annotation["segmentation"], *sizes[annotation["image_id"]])
        moved = np.zeros_like(mask)
        moved[:, shift_px:] = mask[:, : mask.shape[1] - shift_px]
        rle = mask_utils.encode(np.asfortranarray(moved, dtype=np.uint8))
        predictions.append(
            {
                "image_id": annotation["image_id"],
                "category_id": ids[synset],
                "score": 1.0,
                "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()},
            }
        )
    return predictions


@pytest.fixture
def ap_star(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Path, list[Document]], float]:
    """A function that scores predictions by the command `evaluate lvis_ap_star`."""

    def score(truth: Path, predictions: list[Document]) -> float:
        path, output = tmp_path / "predictions.json", tmp_path / "lvis_ap_star.json"
        path.write_text(json.dumps(predictions))
        path.with_suffix(".origin.json").write_text("{}")
        files = ["--ground-truth", str(truth), "--predictions", str(path), "--output", str(output)]
        command = ["pointrend-repro", "evaluate", "lvis_ap_star", *files]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code
        return read_json(output)["values"]["AP"]

    return score


def test_ap_star_of_shifted_truth_on_real_lvis(
    shared_data: Path, ap_star: Callable[[Path, list[Document]], float]
) -> None:
    truth = shared_data / "lvis/lvis_val_100.json"
    lvis = read_json(truth)
    assert ap_star(truth, perfect_predictions(lvis)) == pytest.approx(100, abs=0.1)
    slightly = ap_star(truth, perfect_predictions(lvis, shift_px=2))
    more = ap_star(truth, perfect_predictions(lvis, shift_px=6))
    assert 10 < more < slightly < 95


def test_ap_star_of_the_truth_on_coco_in_lvis_clothes(
    shared_data: Path, tmp_path: Path, ap_star: Callable[[Path, list[Document]], float]
) -> None:
    lvis = as_lvis(read_json(shared_data / "coco_tiny/annotations/instances_val2017.json"))
    truth = tmp_path / "lvis.json"
    truth.write_text(json.dumps(lvis))
    assert ap_star(truth, perfect_predictions(lvis)) == pytest.approx(100, abs=0.1)


@pytest.mark.slow
def test_tiny_from_end_to_end(shared_data: Path, tmp_path: Path) -> None:
    root = shared_data / "coco_tiny"
    copy = make_copy(tmp_path / "copy")
    shorten(copy.folder / "config/presets/tiny.yaml")

    run(copy, f"data_root={root}")
    metrics, table, page = read_results(copy)
    assert set(metrics["metric"]) == {"coco_ap"}
    assert metrics["trial"].eq(0).all()
    assert metrics.groupby(["variant", "inference"]).ngroups == 3
    ap = metrics[metrics["key"] == "AP"]
    assert len(ap) == 3
    assert ap["value"].between(0, 100).all()
    assert table["status"].tolist() == ["no-claim", "missing", "missing"] * 3
    assert "no LVIS annotations given" in page
    assert "These numbers say nothing about the paper" in page

    models = {path: path.stat().st_mtime_ns for path in copy.folder.rglob("model.safetensors")}
    assert len(models) == 2
    lvis = tmp_path / "lvis.json"
    lvis.write_text(json.dumps(as_lvis(read_json(root / "annotations/instances_val2017.json"))))
    run(copy, f"data_root={root}", f"lvis_annotations={lvis}")
    metrics, table, page = read_results(copy)
    assert set(metrics["metric"]) == {"coco_ap", "lvis_ap_star"}
    assert table["status"].tolist() == ["no-claim", "no-claim", "missing"] * 3
    assert table[table["column"] == "COCO AP*"]["measured"].between(0, 100).all()
    assert "no LVIS annotations given" not in page
    assert {path: path.stat().st_mtime_ns for path in models} == models  # nothing trained again

    check_that_other_images_give_no_number(copy, shared_data / "lvis/lvis_val_100.json")


def shorten(preset: Path) -> None:
    """A few updates on small images: whether it runs, not how well."""
    content = yaml.safe_load(preset.read_text())
    over = content["overrides"]
    # So little training leaves no score above the usual threshold.
    over["model"]["detector"] |= {"score_threshold": 0.0, "detections_per_image": 10}
    over["schedule"] = {"total_iters": 6, "lr_drop_iters": [5]}
    over["run"] |= {"log_every_iters": 1, "checkpoint_every_iters": 3, "samples": 1}
    over["input"] = {
        "train_short_edges_px": [128],
        "test_short_edge_px": 128,
        "max_long_edge_px": 192,
    }
    preset.write_text(yaml.safe_dump(content))


def run(copy: WorkingCopy, *config: str) -> None:
    done = copy.snakemake("--cores", "2", "--config", "preset=tiny", "device=cpu", *config)
    assert done.returncode == 0, done.stdout + done.stderr


def read_results(copy: WorkingCopy) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    metrics = pd.read_csv(copy.folder / "results/tiny/metrics.csv")
    table = pd.read_csv(copy.folder / "reports/tiny/tables/table1.csv")
    assert list(metrics.columns) == list(COLUMNS)
    assert list(table.columns) == TABLE_COLUMNS
    assert table["row"].unique().tolist() == ROWS
    return metrics, table, (copy.folder / "reports/tiny/index.html").read_text()


def check_that_other_images_give_no_number(copy: WorkingCopy, lvis: Path) -> None:
    """The published 100 LVIS images hold none of the 22 that were predicted."""
    folder = "results/tiny/coco_folder/pointrend_r50_fpn/trial0/res28"
    images = {image["id"] for image in read_json(lvis)["images"]}
    predictions = read_json(copy.folder / folder / "predictions.json")
    assert predictions
    assert not images & {prediction["image_id"] for prediction in predictions}
    output = copy.folder / "number.json"
    done = copy.command(
        *("pointrend-repro", "evaluate", "lvis_ap_star", "--ground-truth", str(lvis)),
        *("--predictions", f"{folder}/predictions.json", "--output", str(output)),
    )
    assert done.returncode == 2
    assert done.stderr.startswith("pointrend-repro: error: ")
    assert "has no image in common with" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not output.exists()
