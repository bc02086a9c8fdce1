"""A small experiment of its own data: scored with resamples, judged, and compared with itself."""

import importlib
import json
import pkgutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import pointrend_repro
from pointrend_repro import cli
from pointrend_repro.base.files import read_json
from small_experiment import DATASET, PRESET, VARIANT, write_small_config

Run = Callable[..., int]
RESAMPLES = 30


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    def call(*arguments: str | Path) -> int:
        monkeypatch.setattr(sys, "argv", ["pointrend-repro", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0)

    return call


@pytest.fixture
def all_code_loaded() -> None:
    """Load every module: a record names what is loaded, here by steps that share a process."""
    for module in pkgutil.walk_packages(pointrend_repro.__path__, "pointrend_repro."):
        if not module.name.endswith("__main__") and ".detectron2" not in module.name:
            importlib.import_module(module.name)


def fill(run: Run, root: Path, config: Path, folder: Path, *inferences: str) -> None:
    """Train, predict, score and collect, as the rules do."""
    base = folder / PRESET / DATASET / VARIANT / "trial0"
    what = ["--preset", PRESET, "--dataset", DATASET, "--variant", VARIANT]
    where = ["--data-root", root, "--config-dir", config, "--device", "cpu"]
    model = base / "model.safetensors"
    assert run("train", *what, *where, "--trial", "0", "--output", model) == 0
    truth = root / "annotations/instances_val2017.json"
    for inference in inferences:
        found = base / inference / "predictions.json"
        out = ["--model", model, "--output", found]
        assert run("predict", *what, *where, "--inference", inference, *out) == 0
        files = ["--ground-truth", truth, "--predictions", found, "--resamples", RESAMPLES]
        score = base / inference / "coco_ap.json"
        assert run("evaluate", "coco_ap", *files, "--output", score) == 0
    about = ["--preset", PRESET, "--results-dir", folder, "--config-dir", config]
    assert run("collect", *about) == 0
    assert run("claims", *about) == 0


@pytest.mark.usefixtures("all_code_loaded")
def test_twice_the_same_and_once_with_another_rate(
    coco_builder: Callable[..., Path],
    tmp_path: Path,
    run: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = coco_builder(train_images=4, val_images=4)
    config = write_small_config(tmp_path / "config")
    preset = config / f"presets/{PRESET}.yaml"
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    fill(run, root, config, first, "res28", "res224")
    fill(run, root, config, second, "res28", "res224")

    result = read_json(first / PRESET / DATASET / VARIANT / "trial0/res224/coco_ap.json")
    resampled = result["resampled"]
    assert (resampled["resamples"], resampled["images"]) == (RESAMPLES, 4)
    assert len(resampled["values"]["AP"]) == RESAMPLES
    claim = read_json(first / PRESET / "claims/pointrend_outperforms_4conv.json")
    assert claim["verdict"] == "not-measured"  # nobody trained the other head
    assert claim["origin"]["command"].startswith("pointrend-repro claims")

    capsys.readouterr()
    both = [first / PRESET, second / PRESET, "--config-dir", config, "--output", "-"]
    assert run("compare", *both) == 0
    told = capsys.readouterr().out
    assert "Cells: 2 same." in told
    assert "All numbers: 14 identical, 0 different" in told
    assert "Origins: 0 differences." in told
    assert "| settings | of 3 trainings and predictions equal |" in told

    content = yaml.safe_load(preset.read_text())
    content["overrides"]["optimizer"]["base_lr"] = 0.02
    preset.write_text(yaml.safe_dump(content))
    fill(run, root, config, third, "res28")
    capsys.readouterr()
    assert run(
        "compare", first / PRESET, third / PRESET, "--config-dir", config, "--output", "-"
    ) in {0, 1}
    told = capsys.readouterr().out
    assert "optimizer.base\\_lr: 0.01 | optimizer.base\\_lr: 0.02 | differs |" in told
    assert "Origins: 1 difference (" in told


def test_resampling_is_no_part_of_a_score_by_hand(
    coco_builder: Callable[..., Path], tmp_path: Path, run: Run
) -> None:
    truth = coco_builder() / "annotations/instances_val2017.json"
    found = tmp_path / "found.json"
    found.write_text("[]")
    found.with_suffix(".origin.json").write_text(json.dumps({}))
    files = ["--ground-truth", truth, "--predictions", found, "--output", tmp_path / "o.json"]
    assert run("evaluate", "coco_ap", *files) == 0
    assert "resampled" not in read_json(tmp_path / "o.json")
