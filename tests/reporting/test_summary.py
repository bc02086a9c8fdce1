"""summary.json says what the page and the tables say, and docs/report.md tells all its keys."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from made_up_metrics import make_record, make_result, write_result

from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.reporting.code_state import TodaysCode
from pointrend_repro.reporting.collect import write_metrics
from pointrend_repro.reporting.conditions import gather_conditions, gpu_count
from pointrend_repro.reporting.report import write_report
from pointrend_repro.reporting.results import Record, Result, load_results

Fill = Callable[..., Path]
DOCUMENT = Path(__file__).resolve().parents[2] / "docs/report.md"


def summary(grid: Grid, results_dir: Path) -> dict[str, Any]:
    reports_dir = results_dir.parents[1] / "reports" / grid.name
    write_report(grid, results_dir, reports_dir)
    return json.loads((reports_dir / "summary.json").read_text())


def test_numbers_and_verdicts(paper: Grid, fill: Fill) -> None:
    value = summary(paper, fill(paper, offset=0.5))
    assert value["schema_version"] == 1
    assert value["preset"] == {"name": "paper", "title": "The paper", "warning": None}
    counts = {"reproduced": 0, "deviates": 6, "no-claim": 0, "missing": 3}
    assert value["counts"] == value["tables"]["table1"]["counts"] == counts
    first, *_, last = value["tables"]["table1"]["cells"]
    assert first["paper"] == 35.2
    assert first["measured"] == pytest.approx(35.7)
    assert first["spread"] == pytest.approx(0.2)
    assert (first["row"], first["column"], first["status"]) == ("4conv_28", "coco_ap", "deviates")
    assert [t["trial"] for t in first["trials"]] == [0, 1, 2]
    assert [t["file"] for t in first["trials"]] == [e.path for e in paper.cells[0].evaluations]
    assert (last["measured"], last["status"]) == (None, "missing")
    assert last["reason"] == "not part of this preset"


def test_a_preset_with_a_warning_has_no_verdicts(smoke: Grid, fill: Fill) -> None:
    value = summary(smoke, fill(smoke))
    assert value["preset"]["warning"] == smoke.preset.warning
    assert value["counts"]["reproduced"] == value["counts"]["deviates"] == 0


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys(inner)
    elif isinstance(value, list):
        for item in value:
            yield from keys(item)


def test_every_key_is_documented(paper: Grid, fill: Fill) -> None:
    value = summary(paper, fill(paper))
    assert value.pop("claims") is not None  # docs/claims.md tells its keys
    value["tables"] = list(value["tables"].values())  # its keys are names, not words of ours
    value["papers"] = list(value["papers"].values())
    for by_name in ("datasets", "versions"):
        value["conditions"][by_name] = list(value["conditions"][by_name].values())
    told = set(re.findall(r"`([\w-]+)`", DOCUMENT.read_text(encoding="utf-8")))
    assert set(keys(value)) <= told


@pytest.mark.parametrize(
    ("device", "world_size", "gpus"),
    [
        ("cpu (AMD EPYC, 1 threads)", 1, 0),
        ("cpu (AMD EPYC, 1 threads)", 4, 0),
        ("2 x cpu (AMD EPYC, 1 threads)", 2, 0),
        ("cuda (NVIDIA A100)", 1, 1),
        ("cuda (NVIDIA A100)", 8, 8),
        ("8 x cuda (NVIDIA A100)", 8, 8),
        ("4 x cuda (A), 4 x cuda (B)", 8, 8),
        ("cuda (RTX 2080 x2)", 1, 1),
    ],
)
def test_gpus_are_counted(device: str, world_size: int, gpus: int) -> None:
    record = Record.model_validate(make_record(device=device, world_size=world_size))
    assert gpu_count(record) == gpus


def test_old_records_have_one_gpu() -> None:
    assert gpu_count(Record.model_validate(make_record(device="cuda (NVIDIA V100)"))) == 1


def test_a_training_counts_once(paper: Grid, tmp_path: Path) -> None:
    made = {
        e: Result.model_validate(
            make_result(paper, e, {"AP": 1.0}, device="cuda (X)", world_size=4, wall_s=3600.0)
        )
        for e in paper.evaluations
    }
    conditions = gather_conditions(paper, made, TodaysCode())
    assert conditions.trainings_done == conditions.trainings_planned == 6
    assert conditions.gpu_hours == 6 * 4
    assert conditions.cpu_hours == 0
    assert conditions.results_of_other_code == conditions.results == len(paper.evaluations)
    assert conditions.other_codes == ("12345e678901",)
    evaluated = made[paper.evaluations[0]].origin.evaluate
    assert conditions.versions == {k: (v,) for k, v in evaluated.versions.items()}


def test_the_scale_names_the_trunks_that_are_trained() -> None:
    """`mini` trains ResNet-101 and ResNeXt-101 for Table 5; Table 1's heads have ResNet-50."""
    code = TodaysCode()
    (of_detectors, _) = gather_conditions(load_grid("mini"), {}, code).scale
    assert of_detectors.startswith(
        "detectors, the paper's in brackets: trunks resnet18_narrow (resnet50), resnet50_narrow "
        "(resnet101), resnext50_narrow (resnext101_32x8d); "
    )
    (of_one_table,) = gather_conditions(load_grid("mini_nuclei"), {}, code).scale
    assert of_one_table.startswith(
        "detectors, the paper's in brackets: trunks resnet18_narrow (resnet50); "
    )


def test_days_are_those_of_all_steps(paper: Grid, tmp_path: Path) -> None:
    first, *_, last = paper.evaluations
    write_result(tmp_path, paper, first, {"AP": 1.0}, started="2024-05-03T08:00:00+00:00")
    path = write_result(tmp_path, paper, last, {"AP": 1.0}, git_commit=None)
    value = json.loads(path.read_text())
    value["origin"]["train"]["started"] = "2024-04-30T23:59:59+00:00"
    path.write_text(json.dumps(value))
    write_metrics(paper, tmp_path)
    conditions = gather_conditions(paper, load_results(paper, tmp_path), TodaysCode())
    assert (conditions.first_day, conditions.last_day) == ("2024-04-30", "2024-05-03")
    assert set(conditions.commits) == {None, make_record()["git_commit"]}
