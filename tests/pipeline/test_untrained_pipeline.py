"""Selective Search from the images to the page, beside models that nobody has trained yet."""

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest
import yaml

from config_files import config_file
from pointrend_repro import cli
from pointrend_repro.base.files import read_json, write_json
from pointrend_repro.data.check import describe_dataset
from pointrend_repro.data.coco import read_coco
from pointrend_repro.data.paths import UserData, data_paths
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.experiments.nodes import Training
from pointrend_repro.pipeline.given_boxes import read_given_boxes
from pointrend_repro.reporting.collect import write_metrics
from pointrend_repro.reporting.report import write_report
from pointrend_repro.reporting.verifying import verify
from pointrend_repro.settings.proposals_from import ResolvedProposals
from small_experiment import DATASET, PRESET, write_small_config

VARIANT = "sharpmask_selective_search"
METRIC = "proposal_box_recall"


def write_config(folder: Path) -> Path:
    """Table 3 of boxes with Selective Search and one model, three trials."""
    config = write_small_config(folder)
    changes: dict[str, dict[str, Any]] = {
        f"presets/{PRESET}": {
            "papers": ["sharpmask"],
            "tables": ["sharpmask_table3_box"],
            "datasets": {"coco2014": DATASET},
            "trials": {"coco2014": 3},
        }
    }
    table = yaml.safe_load(config_file("tables/sharpmask_table3_box", config).read_text())
    rows = {name: table["rows"][name] for name in ("selective_search", "deepmask", "mcg")}
    changes["tables/sharpmask_table3_box"] = {"rows": rows}
    for name, values in changes.items():
        path = config_file(name, config)
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | values, sort_keys=False))
    (config / "papers/sharpmask/claims.yaml").write_text("{}\n")
    return config


def test_from_images_to_the_page(
    tmp_path: Path,
    coco_builder: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    coco = coco_builder(root=tmp_path / "coco")
    config = write_config(tmp_path / "config")
    grid = load_grid(PRESET, config)
    results = tmp_path / "results" / PRESET
    (searched,) = [p for p in grid.predictions if p.training.variant == VARIANT]
    proposals = results / searched.folder / "proposals.json"

    def call(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["pointrend-repro", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capfd.readouterr()
        return int(ended.value.code or 0), told.out + told.err

    where = ("--preset", PRESET, "--dataset", DATASET, "--config-dir", config)
    way = (*where, "--data-root", coco, "--inference", "fast", "--output", proposals)
    code, told = call("propose", *way, "--variant", "sharpmask_deepmask_vgg")
    assert (code, "is trained; use `predict`" in told) == (2, True)
    code, told = call("train", *where, "--variant", VARIANT, "--trial", 0, "--output", "model")
    assert (code, "nothing is trained in family selective_search" in told) == (2, True)
    code, told = call("propose", *way, "--variant", VARIANT)
    assert (code, told.splitlines()[-1]) == (0, f"Written: {proposals}")
    first = proposals.read_bytes()
    assert call("propose", *way, "--variant", VARIANT)[0] == 0
    assert proposals.read_bytes() == first

    truth = coco / "annotations/instances_val2017.json"
    scores = ("--predictions", proposals, "--output", proposals.parent)
    assert call("evaluate-all", f"{METRIC}={truth}", *scores)[0] == 0
    origin = read_json(proposals.parent / f"{METRIC}.json")["origin"]
    assert [key for key in ("train", "predict", "evaluate") if key in origin] == [
        "predict",
        "evaluate",
    ]
    assert origin["predict"]["versions"]["opencv"] == cv2.__version__
    assert origin["predict"]["seed"] == 0

    data = data_paths(DATASET, grid.datasets[DATASET], UserData(coco))
    described = describe_dataset(DATASET, grid.datasets[DATASET], data)
    for name in ("dataset.json", "data_today.json"):
        write_json(results / DATASET / name, described)
    write_metrics(grid, results)
    (row,) = [r for r in csv.DictReader((results / "metrics.csv").open()) if r["key"] == "AR@100"]
    assert (row["variant"], row["trial"], row["seed"]) == (VARIANT, "0", "0")
    origins = {r["file"]: r for r in csv.DictReader((results / "origins.csv").open())}
    assert origins[row["file"]]["train_command"] == ""
    assert origins[row["file"]]["predict_command"].startswith("pointrend-repro propose ")
    write_report(grid, results, tmp_path / "reports")
    page = (tmp_path / "reports/index.html").read_text()
    assert f"predict {searched.folder}" in page
    assert f"train {DATASET}/{VARIANT}" not in page
    assert "0 of 3 trainings" in page
    table = json.loads((tmp_path / "reports/summary.json").read_text())
    assert table
    assert verify(grid, results).problems == ()
    code, told = call("plan", "--preset", PRESET, "--config-dir", config)
    assert code == 0
    assert "predict_proposals_untrained" in told

    # Whatever trial asks for them.
    boxes = read_given_boxes(
        ResolvedProposals(variant=VARIANT, inference="fast", dataset=DATASET),
        proposals,
        read_coco(coco / "val2017", truth),
        split="val",
        experiment={"preset": PRESET, "trial": 2},
    )
    assert boxes is not None
    assert len(boxes.proposals) > 0
    proposals.write_text("[]\n")
    (problem,) = {line.partition(": ")[2] for line in verify(grid, results).problems}
    assert "is not what proposals.origin.json beside it describes" in problem
    assert Training(DATASET, VARIANT, 0) not in grid.trainings
