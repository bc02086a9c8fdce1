"""`make gpu-check`: every stage runs, on a CPU or a pretended GPU, and none can stop the others."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.gpu_check import stage_speed
from benchmarks.gpu_check.__main__ import STAGES, file_name, main, summary
from benchmarks.gpu_check.one_model import make_example
from benchmarks.gpu_check.page import gpu_table
from benchmarks.gpu_check.running import Stage, run_stages
from benchmarks.gpu_check.stage import Asked, run
from benchmarks.gpu_check.stage_tests import outcomes
from benchmarks.gpu_check.stage_variants import drawn_for, every_variant, in_both_precisions
from kinds_of_models import draw_few
from pointrend_repro.config.papers import list_papers
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.tools.bench.case import make_case
from pretend_gpu import GPU, pretended_gpu

_TELL = (
    "import pathlib, sys, time; pathlib.Path(sys.argv[1], 'found.json').write_text('{\"a\": 1}')"
)
PROGRAMS = {
    "works": _TELL,
    "fails": f"{_TELL}; print('why'); sys.exit(1)",
    "hangs": f"{_TELL}; time.sleep(600)",
    "says_nothing": "import os; os.abort()",
}


def run_programs(*stages: Stage, folder: Path, seconds: float = 60.0) -> dict[str, Any]:
    return run_stages(
        stages,
        lambda name, there: [sys.executable, "-c", PROGRAMS[name], str(there)],
        folder=folder,
        until=time.monotonic() + seconds,
        environment=dict(os.environ),
    )


@pytest.mark.parametrize("path", [None, "/modules/of a cluster"])
def test_make_starts_it_whether_or_not_there_is_a_pythonpath(path: str | None) -> None:
    given = {key: os.environ[key] for key in os.environ.keys() - {"MAKEFLAGS", "PYTHONPATH"}}
    done = subprocess.run(
        ["make", "--no-print-directory", "gpu-check", "PYTHON=echo"],
        cwd=Path(__file__).parents[2],
        env=given | ({} if path is None else {"PYTHONPATH": path}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("-m benchmarks.gpu_check\n")


def test_what_fails_or_hangs_is_noted_and_the_next_runs(tmp_path: Path) -> None:
    stages = [
        Stage("hangs", least_s=0, most_s=3, beside=True),
        Stage("fails", least_s=0, most_s=50),
        Stage("says_nothing", least_s=0, most_s=50),
        Stage("works", least_s=0, most_s=50),
    ]
    found = run_programs(*stages, folder=tmp_path)
    assert {name: each["status"] for name, each in found.items()} == {
        "fails": "failed",
        "says_nothing": "failed",
        "works": "done",
        "hangs": "out of time",
    }
    assert [each.get("a") for each in found.values()] == [1, None, 1, 1]
    assert found["fails"]["last_lines"] == ["why"]
    assert "last_lines" not in found["works"]


def test_the_budget_ends_a_stage_and_skips_the_next(tmp_path: Path) -> None:
    stages = Stage("hangs", least_s=0, most_s=50), Stage("works", least_s=30, most_s=50)
    found = run_programs(*stages, folder=tmp_path, seconds=3.0)
    assert found["hangs"]["status"] == "out of time"
    assert found["works"]["status"] == "skipped"
    assert "it needs 30" in found["works"]["why"]


def test_all_fits_into_ten_minutes() -> None:
    alone = sum(stage.most_s for stage in STAGES if stage.name in ("device", "speed"))
    last = [stage.least_s for stage in STAGES if stage.name not in ("device", "speed")]
    assert alone + max(last) < 570


def test_the_command_writes_one_json_and_its_exit_code_tells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`device` and `tests` in processes of their own; the other stages are run below."""
    assert main(["--device", "cpu", "--quick", "--stages", "tests", "--output", str(tmp_path)]) == 0
    (path,) = tmp_path.iterdir()
    record = json.loads(path.read_text())
    assert path.name == file_name(record)
    assert record["quick"]
    assert record["stages"]["device"]["versions"]["torch"] == torch.__version__.split("+")[0]
    assert record["stages"]["tests"]["counts"]["passed"] >= 4
    assert str(path) in capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--output", str(tmp_path), "--stages", "device"]) == 2
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err


@pytest.mark.parametrize("name", ["speed", "mini", "variants"])
def test_each_stage_measures(name: str, tmp_path: Path) -> None:
    asked = Asked("cpu", "quick", tmp_path / name)
    run(name, asked)
    found = json.loads((tmp_path / name / "found.json").read_text())
    assert found["failures"] == []
    if name == "mini":
        assert found["ap"] >= 0
        assert found["last_of_log"]["loss"] > 0
    elif name == "speed":
        assert found["cases"]["mask_head"]["sides"]["ours"]["seconds"]["median"] > 0
    else:
        (of_variant,) = found["variants"].values()
        assert of_variant["fp32"]["losses"].keys() == of_variant["bf16"]["losses"].keys()


def test_a_stage_whose_code_fails_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stage_speed, "_QUICK", ("no_such_case",))
    asked = Asked("cpu", "quick", tmp_path)
    run("speed", asked)
    assert len(asked.failures) == 1
    assert asked.failures[0].startswith("no_such_case: ")
    assert "Traceback" in capsys.readouterr().err


def test_a_variant_is_measured_on_a_pretended_gpu(tmp_path: Path) -> None:
    grid = load_grid("smoke", papers=["pointrend"])
    images = draw_few(grid, tmp_path)
    dataset = grid.preset.datasets["coco"]
    settings = grid.training_settings(dataset, "pointrend_r50_fpn")
    example = make_example(settings, images[drawn_for(dataset, settings, grid, grid)])
    with pretended_gpu():
        found = in_both_precisions(example, GPU)
    assert set(found) == {"fp32", "bf16"}
    assert found["fp32"]["prediction"]["boxes"][1] == 4


def test_every_variant_of_the_papers_has_images_to_train_on() -> None:
    drawn, grid = (load_grid(preset, papers=list_papers()) for preset in ("smoke", "paper"))
    variants = list(every_variant(grid))
    assert len(variants) > 70
    for dataset, variant in variants:
        settings = grid.training_settings(dataset, variant)
        there = drawn.datasets[drawn_for(dataset, settings, grid, drawn)]
        assert (there.layout == "cityscapes") == (settings.family == "semantic"), variant


@pytest.mark.parametrize("name", ["mask_head", "keypoint_head", "semantic_pointrend"])
def test_ours_of_a_case_runs_on_a_pretended_gpu(name: str) -> None:
    with pretended_gpu():
        case = make_case(name, "tiny", GPU.type)
        assert case.sides["ours"]()().device == GPU


def test_outcomes_are_read_from_what_pytest_has_written_so_far() -> None:
    text = "collected 4 items\n\na/b.py::one PASSED [ 25%]\na/b.py::two[x-y] SKIPPED (no) [ 50%]\n"
    text += "a/b.py::three FAILED [ 75%]\na/b.py::four "
    assert outcomes(text) == {
        "a/b.py::one": "passed",
        "a/b.py::two[x-y]": "skipped",
        "a/b.py::three": "failed",
    }


def a_record() -> dict[str, Any]:
    def side(seconds: float, ratio: float, memory: float) -> dict[str, Any]:
        return {
            "seconds": {"median": seconds},
            "time_ours_is_1": {"median": ratio},
            "images_a_second": 2 / seconds,
            "additional_peak_mb": memory,
        }

    sides = {"ours": side(0.1, 1.0, 50.0), "detectron2": side(0.2, 2.0, 200.0)}
    cases = {
        "training_step": {"sides": sides, "not_installed": {}},
        "mask_head": {
            "sides": {"ours": sides["ours"]},
            "not_installed": {"detectron2": "detectron2"},
        },
    }
    stages = {
        "speed": {
            "status": "failed",
            "seconds": 9.0,
            "cases": cases,
            "failures": ["mask_head: no"],
        },
        "mini": {"status": "done", "seconds": 99.0, "ap": 38.5},
        "tests": {"status": "skipped", "why": "3 s are left, it needs 30"},
    }
    return {"device": "A GPU", "seconds": 120.0, "budget_s": 570, "stages": stages}


def test_rows_of_the_page_come_from_the_json(tmp_path: Path) -> None:
    assert gpu_table("gpu_mask_head", tmp_path).endswith("| GPU | not measured: no GPU |")
    assert "not measured: no GPU" in gpu_table("gpu_check", tmp_path)
    (tmp_path / "gpu_check_a_gpu.json").write_text(json.dumps(a_record()))
    last = {
        name: gpu_table(f"gpu_{name}", tmp_path).splitlines()[-1]
        for name in ("training_step", "mask_head", "keypoint_head")
    }
    assert last["training_step"] == "| A GPU | 0.50 of the time, 0.25 of the memory |"
    assert last["mask_head"] == "| A GPU | not measured: detectron2 is not installed |"
    assert "did not get there" in last["keypoint_head"]
    overview = gpu_table("gpu_check", tmp_path)
    assert "| A GPU | training_step | ours | 20.0 | 50 |" in overview
    assert "| A GPU | `mini`'s first training | ours | AP 38.50 | |" in overview


def test_the_summary_names_each_stage_and_failure() -> None:
    assert summary(a_record()) == [
        "A GPU: 120 s of 570",
        "  speed     failed (9 s)",
        "    mask_head: no",
        "  mini      done (99 s)",
        "  tests     skipped (3 s are left, it needs 30)",
    ]
