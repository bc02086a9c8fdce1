"""A metric and a kind of predictions from outside: docs/your_metric.md, done word for word."""

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from outside import install

from collected import collect_metrics
from config_files import CLAIMS, config_file
from pointrend_repro import cli
from pointrend_repro.base import provenance
from pointrend_repro.base.digests import content_digest
from pointrend_repro.base.errors import UserError
from pointrend_repro.base.files import read_json
from pointrend_repro.declarations.prediction_kind import PREDICTION_KINDS
from pointrend_repro.experiments import fitting
from pointrend_repro.experiments import grid as grids
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.pipeline.planning.disk import estimate_disk
from pointrend_repro.pipeline.planning.jobs import Places, count_jobs
from pointrend_repro.pipeline.planning.progress import look_at
from pointrend_repro.pipeline.planning.published import load_speeds
from pointrend_repro.reporting.claims.contrasts import contrasts
from pointrend_repro.reporting.claims.schema import load_claims
from pointrend_repro.reporting.collect import write_metrics
from pointrend_repro.reporting.missing import why_absent
from pointrend_repro.reporting.report import write_report
from pointrend_repro.reporting.tables import measure_tables
from small_experiment import PRESET, CocoBuilder, write_small_config
from working_copy import make_copy

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/your_metric.md"
DECLARED, SCORING = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S)
COLUMN = yaml.safe_load(re.findall(r"^```yaml\n(.*?)^```$", DOCUMENT.read_text(), re.M | re.S)[0])

PROPOSALS = """
from pointrend_repro.declarations.metric import Metric
from pointrend_repro.declarations.prediction_kind import PredictionKind

KIND = PredictionKind(
    name="guesses",
    path="guesses.json",
    title="guesses",
    models="a proposal model",
    image_bytes=lambda sizes: (1000.0, 2000.0),
)

WIDTH = Metric(
    name="head_width", counts="instances", keys={"channels": "1"}, score="counting.width:count"
)

METRIC = Metric(
    name="miss_rate",
    reads="guesses",
    truth="val_annotations",
    layouts=("coco",),
    keys={"missed": "%"},
    lower_is_better=frozenset({"missed"}),
    score="counting.recall:score",
)
"""
RECALL = """
from pointrend_repro.base.files import read_json
from pointrend_repro.evaluation.scoring import Scored

def score(ground_truth, predictions, once):
    objects = once(read_json, ground_truth)["annotations"]
    found = {entry["object"] for entry in once(read_json, predictions)}
    return Scored({"missed": 100 * (1 - len(found) / len(objects))})
"""
WIDTH = """
def count(model, inference):
    return {"channels": model.backbone.fpn_channels}
"""
ENTRY_POINTS = """
[pointrend_repro.metrics]
count_error = counting.declared:METRIC
miss_rate = counting.proposing:METRIC
head_width = counting.proposing:WIDTH
[pointrend_repro.predictions]
guesses = counting.proposing:KIND
"""
MISSED = COLUMN["count_error"] | {"metric": "miss_rate", "value": "missed", "unit": "%"}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration with the preset `quick`, and the package of somebody else installed."""
    files = {"declared": DECLARED, "scoring": SCORING, "proposing": PROPOSALS}
    files |= {"recall": RECALL, "width": WIDTH}
    install(tmp_path / "site", monkeypatch, ENTRY_POINTS, **files)
    monkeypatch.setattr(provenance, "_loaded_files", {})  # other tests share the process
    return write_small_config(tmp_path / "config")


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def add_column(config: Path) -> None:
    edit(config_file("tables/table1", config), lambda table: table["columns"].update(COLUMN))


def rules(grid: Grid, folder: Path) -> dict[str, int]:
    places = Places(folder / "results", folder / "reports", folder / "config")
    jobs = count_jobs(grid, look_at(grid, places.results), places, [])
    return {job.rule: job.to_do for job in jobs}


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["pointrend-repro", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def write_predictions(path: Path, origin: dict[str, Any], content: object) -> None:
    """What a prediction leaves: its file, and the record of how it was made."""
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    steps = {"train": make_step(), "predict": make_step() | {"output_digest": content_digest(path)}}
    path.with_suffix(".origin.json").write_text(json.dumps(origin | steps))


def make_step() -> dict[str, Any]:
    texts = ("command", "settings_digest", "device", "git_commit", "code_digest")
    numbers = {"seed": 0, "wall_s": 1.0, "peak_memory_mb": 1.0}
    when = {"started": "2026-01-01T00:00:00+00:00"}
    return {**dict.fromkeys(texts, "x"), **numbers, **when, "settings": {}, "versions": {}}


def score(monkeypatch: pytest.MonkeyPatch, truth: Path, path: Path, *metrics: str) -> None:
    pairs = [f"{metric}={truth}" for metric in metrics]
    where = ["--predictions", path, "--output", path.parent, "--resamples", "10"]
    assert run(monkeypatch, "evaluate-all", *pairs, *where) == 0


def test_a_documented_metric_is_planned_scored_and_shown(
    config: Path, tmp_path: Path, coco_builder: CocoBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load_grid(PRESET, config)
    add_column(config)
    grid = load_grid(PRESET, config)
    assert grid.trainings == before.trainings
    assert set(grid.evaluations) > set(before.evaluations)
    planned, as_before = rules(grid, tmp_path), rules(before, tmp_path)
    count = as_before.pop("evaluate_coco_ap")
    assert planned.pop("evaluate_coco_ap_count_error") == count
    assert planned == as_before

    evaluation = next(e for e in grid.evaluations if e.metric == "count_error")
    prediction = evaluation.prediction
    absent = why_absent(evaluation, tmp_path, grid.before(prediction), grid.kind_of)
    assert absent.step == "data check"
    # Of the three objects of each of two images, only one of the first is found, and surely.
    root = coco_builder()
    box = {"image_id": 1001, "category_id": 3, "bbox": [0, 0, 9, 9], "score": 0.9}
    mask = {"size": [48, 64], "counts": "PP3"}
    found = [box | {"segmentation": mask}, box | {"segmentation": mask, "score": 0.1}]
    training = prediction.training
    origin = {
        **{"preset": PRESET, "dataset": training.dataset, "variant": training.variant},
        **{"trial": training.trial, "inference": prediction.inference},
    }
    results = tmp_path / "results"
    path = results / prediction.path(grid.kind_of(prediction))
    assert path.name == "predictions.json"
    write_predictions(path, origin, found)
    truth = root / "annotations/instances_val2017.json"
    score(monkeypatch, truth, path, "coco_ap", "count_error")

    made = read_json(results / evaluation.path)
    assert made["values"] == {"error": 2.5}
    assert made["units"] == {"error": "objects"}
    resampled = made["resampled"]["values"]["error"]
    assert len(resampled) == 10
    assert all(value is None or 2 <= value <= 3 for value in resampled)
    assert len(set(resampled)) > 1
    own = {"counting.declared", "counting.scoring"}
    versions = made["origin"]["evaluate"]["versions"]
    assert {name for name, text in versions.items() if text.startswith("sha256:")} == own
    neighbour = read_json(path.with_name("coco_ap.json"))
    assert not own & set(neighbour["origin"]["evaluate"]["versions"])
    assert "units" not in neighbour

    (table,) = measure_tables(grid, collect_metrics(grid, results))
    cell = next(c for c in table.cells.values() if c.values and c.column.value == "error")
    assert (cell.measured, cell.column.unit) == (2.5, "objects")
    write_metrics(grid, results)
    write_report(grid, results, tmp_path / "reports")
    text = (tmp_path / "reports/tables/table1.csv").read_text()
    assert re.search(r"count error,,2\.5,.*,objects,", text)


def test_a_kind_of_predictions_from_outside_is_planned_scored_and_shown(
    config: Path, tmp_path: Path, coco_builder: CocoBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No family of models makes it yet, so a variant is said to."""
    kind = PREDICTION_KINDS.find("guesses")
    for module in (grids, fitting):
        monkeypatch.setattr(module, "kind_of", lambda _: kind)
    with pytest.raises(UserError, match="is a proposal model, which metric coco_ap does not"):
        load_grid(PRESET, config)
    edit(config_file("tables/table1", config), only_missed)
    grid = load_grid(PRESET, config)
    planned = rules(grid, tmp_path)
    assert planned["predict_guesses"] == planned["evaluate_miss_rate"] == len(grid.predictions)
    assert "predict" not in planned
    sizes = load_speeds(config).datasets
    known = sizes["coco"]
    disk = {i.what: i.bytes for i in estimate_disk(grid, {}, {"coco_folder": known})}
    images = known.val_images * len(grid.predictions)
    assert disk["predictions"] == (1000 * images, 2000 * images)

    evaluation = grid.evaluations[0]
    training = evaluation.prediction.training
    path = tmp_path / "results" / evaluation.prediction.path(kind)
    assert path.name == "guesses.json"
    origin = {
        **{"preset": PRESET, "dataset": training.dataset, "variant": training.variant},
        **{"trial": training.trial, "inference": evaluation.prediction.inference},
    }
    write_predictions(path, origin, [{"object": 1}, {"object": 2}, {"object": 3}])
    truth = coco_builder() / "annotations/instances_val2017.json"
    score(monkeypatch, truth, path, "miss_rate")
    (table,) = measure_tables(grid, collect_metrics(grid, tmp_path / "results"))
    assert next(c.measured for c in table.cells.values() if c.values) == 50


def test_a_count_from_outside_is_planned_counted_and_shown(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    column = MISSED | {"dataset": None, "metric": "head_width", "value": "channels", "unit": "1"}
    edit(config_file("tables/table1", config), lambda table: table["columns"].update(width=column))
    grid = load_grid(PRESET, config)
    cost = next(c for c in grid.costs if c.variant == "pointrend_r50_fpn")
    assert rules(grid, tmp_path)["count_head_width"] == len(grid.costs)
    assert why_absent(cost, tmp_path, [], grid.kind_of).reason == "not counted yet"
    what = ["--preset", PRESET, "--variant", cost.variant, "--inference", cost.inference]
    results = tmp_path / "results"
    where = ["--output", results / cost.path, "--config-dir", config]
    assert run(monkeypatch, "cost", *what, *where, "--metric", "head_width") == 0
    assert cost.path == f"head_width/{cost.variant}/{cost.inference}.json"
    made = read_json(results / cost.path)
    assert (made["values"], made["units"]) == ({"channels": 256}, {"channels": "1"})
    record = made["origin"]["evaluate"]
    assert record["settings"]["model"]["backbone"]["fpn_channels"] == 256
    assert {"counting.proposing", "counting.width"} <= set(record["versions"])
    (table,) = measure_tables(grid, collect_metrics(grid, results))
    assert {c.measured for c in table.cells.values() if c.values} == {256}
    assert run(monkeypatch, "cost", *what, *where, "--metric", "coco_ap") == 2


def only_missed(table: dict[str, Any]) -> None:
    table["columns"] = {"missed": MISSED}
    for row in table["rows"].values():
        row["paper"] = {}


def test_snakemake_plans_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = install(tmp_path / "site", monkeypatch, ENTRY_POINTS, declared=DECLARED)
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
    copy = make_copy(tmp_path / "copy")
    add_column(copy.folder / "config")
    truth = "data/generated_coco/annotations/instances_val2017.json"
    done = copy.snakemake("--dry-run", "--printshellcmds", "--config", "preset=smoke")
    assert done.returncode == 0, done.stderr
    assert f"evaluate-all coco_ap={truth} count_error={truth}" in done.stdout


def test_what_a_table_says_of_it_is_checked_before_anything_runs(config: Path) -> None:
    add_column(config)
    table = config_file("tables/table1", config)
    for key, value, told in (
        ("metric", "count_eror", "no metric 'count_eror'; did you mean 'count_error'?"),
        ("value", "errors", "metric count_error has no key 'errors'; it has error"),
        ("unit", "%", "error of metric count_error is in objects, not in '%'"),
    ):
        edit(table, lambda t, k=key, v=value: t["columns"]["count_error"].update({k: v}))  # type: ignore[misc]
        with pytest.raises(UserError, match=re.escape(told)):
            load_grid(PRESET, config)
        add_column(config)


def test_a_data_set_names_it_among_its_metrics(config: Path) -> None:
    add_column(config)
    dataset = config / "datasets/coco_folder.yaml"
    edit(dataset, lambda content: content.update(metrics=["coco_ap"]))
    assert "count_error" not in load_grid(PRESET, config).tables["table1"].columns
    edit(dataset, lambda content: content.update(metrics=["count_error"]))
    columns = load_grid(PRESET, config).tables["table1"].columns
    assert "count_error" in columns
    assert "coco_ap" not in columns
    edit(dataset, lambda content: content.update(metrics=["cuont_error"]))
    with pytest.raises(UserError, match=r"no metric 'cuont_error'; did you mean 'count_error'\?"):
        load_grid(PRESET, config)


def test_claims_about_it_know_that_less_is_better(config: Path) -> None:
    add_column(config)
    edit(config_file("tables/table1", config), lambda t: t["columns"].update(missed=MISSED))
    mine = {"statement": "s", "source": "mine", "table": "table1"}
    mine["pairs"] = [["pointrend_28", "4conv_28"]]  # type: ignore[assignment]
    claims = {
        "fewer": mine | {"kind": "better", "columns": ["count_error", "coco_ap"]},
        "mixed": mine | {"kind": "gain_greater", "columns": ["coco_ap", "missed"]},
    }
    edit(config_file(CLAIMS, config), lambda content: content.update(claims))
    with pytest.raises(UserError, match="'mixed': less is better in some of its columns"):
        load_claims(config)
    edit(config_file(CLAIMS, config), lambda content: content.pop("mixed"))
    read = load_claims(config)
    fewer, higher = contrasts(read.claims["fewer"], read.tables["table1"])
    assert fewer.factors == {("4conv_28", "count_error"): 1, ("pointrend_28", "count_error"): -1}
    assert higher.factors == {("pointrend_28", "coco_ap"): 1, ("4conv_28", "coco_ap"): -1}


def test_other_keys_than_declared_are_refused(
    config: Path, tmp_path: Path, coco_builder: CocoBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "site/counting/scoring.py"
    path.write_text(SCORING.replace('Scored({"error":', 'Scored({"errors":'))
    found = tmp_path / "out/predictions.json"
    write_predictions(found, {}, [])
    truth = coco_builder() / "annotations/instances_val2017.json"
    where = ["--predictions", found, "--output", found.parent]
    assert run(monkeypatch, "evaluate-all", f"count_error={truth}", *where) == 2
    told = "metric 'count_error': counting.scoring:score returns errors, but error are declared"
    assert told in found.with_name("count_error.log").read_text()
    assert not found.with_name("count_error.json").exists()
