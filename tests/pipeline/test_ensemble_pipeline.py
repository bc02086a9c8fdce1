"""A prediction by two models, from their trainings to the page."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from config_files import CLAIMS, config_file
from following import ROW, run_training_of
from pointrend_repro import cli
from pointrend_repro.base.digests import content_digest
from pointrend_repro.base.files import read_json, write_json
from pointrend_repro.data.check import describe_dataset
from pointrend_repro.data.paths import UserData, data_paths
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.reporting.collect import write_metrics
from pointrend_repro.reporting.report import write_report
from small_experiment import DATASET, PRESET, VARIANT, write_small_config

OTHER = "mask_rcnn_r50_fpn"


def test_two_models_predict_together(
    tmp_path: Path,
    coco_builder: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    coco_builder(root=tmp_path / "coco")
    config = write_small_config(tmp_path / "config")
    for name, key in (("tables/table1", "rows"), (f"variants/{VARIANT}", "inference")):
        path = config_file(name, config)
        values = yaml.safe_load(path.read_text())
        if key == "rows":
            values["rows"] = {ROW: values["rows"][ROW]}
        else:
            values["inference"]["res28"]["ensemble"] = {"variants": [OTHER], "weights": [1.0, 0.9]}
        path.write_text(yaml.safe_dump(values, sort_keys=False))
    (config / f"{CLAIMS}.yaml").write_text("{}\n")
    grid = load_grid(PRESET, config)
    own, other = (run_training_of(grid, tmp_path, name) for name in (VARIANT, OTHER))
    results, (prediction,) = tmp_path / "results" / PRESET, grid.predictions
    predictions = results / prediction.folder / "predictions.json"

    def call(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["pointrend-repro", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), capfd.readouterr().err

    predict = [
        *("predict", "--preset", PRESET, "--dataset", DATASET, "--variant", VARIANT),
        *("--inference", "res28", "--data-root", tmp_path / "coco", "--config-dir", config),
        *("--device", "cpu", "--model", own, "--output", predictions),
    ]
    code, told = call(*predict)
    assert code == 2
    assert f"--with-model: this way to predict takes the models of {OTHER}" in told
    code, told = call(*predict, f"--with-model={own}")
    assert (code, f"is of variant {VARIANT}, not of variant {OTHER}" in told) == (2, True)
    assert call(*predict, f"--with-model={other}")[0] == 0
    assert json.loads(predictions.read_text()) is not None
    (model,) = read_json(predictions.with_suffix(".origin.json"))["predict"]["others"]
    assert model["input_digest"] == content_digest(other)
    assert model["origin"]["variant"] == OTHER

    truth = tmp_path / "coco/annotations/instances_val2017.json"
    where = ("--predictions", predictions, "--output", predictions.parent)
    metrics = [f"{e.metric}={truth}" for e in grid.evaluations]
    assert call("evaluate-all", *metrics, *where)[0] == 0
    data = data_paths(DATASET, grid.datasets[DATASET], UserData(tmp_path / "coco"))
    described = describe_dataset(DATASET, grid.datasets[DATASET], data)
    for name in ("dataset.json", "data_today.json"):
        write_json(results / DATASET / name, described)
    write_metrics(grid, results)
    write_report(grid, results, tmp_path / "reports")
    page = (tmp_path / "reports/index.html").read_text()
    assert f"train {DATASET}/{OTHER}/trial0" in page
    assert "<dt>together with</dt>" in page
    assert "2 of 2 trainings" in page
