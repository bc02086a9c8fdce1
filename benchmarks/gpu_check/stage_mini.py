"""The first training of preset `mini`, predicted and scored by the commands of the pipeline.

Its AP stands beside that of the same training on a CPU, from docs/evidence/mini_seeds_0_to_2/. They
are not equal to the last digit: sums are in another order, and random numbers are a GPU's own.
(Quick: a few updates of `smoke`.)
"""

import csv
import json
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu_check.stage import Asked
from pointrend_repro.cli import app
from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.experiments.loading import load_grid

# mini's own, at the paper's resolution; of `smoke` the same with fewer updates.
VARIANT, INFERENCE = "pointrend_r50_fpn", "res224"
EVIDENCE = CONFIG_DIR.parent / "docs" / "evidence" / "mini_seeds_0_to_2" / "metrics.csv"
_QUICK = ("--set", "schedule.total_iters=2", "--set", "schedule.lr_drop_iters=[]")


def measure(asked: Asked) -> None:
    preset = "smoke" if asked.is_quick else "mini"
    grid = load_grid(preset, papers=("pointrend",))
    dataset = grid.preset.datasets["coco"]
    root, folder = asked.folder / "data", asked.folder / "trained"
    asked.tell(preset=preset, variant=VARIANT, dataset=dataset, trial=0, seconds_of={})
    run = _Timed(asked)
    run("generate", "data", "generate", "--dataset", dataset, "--data-root", str(root))
    what = ["--preset", preset, "--dataset", dataset, "--variant", VARIANT]
    where = ["--data-root", str(root), "--device", asked.device, "--config-dir", str(CONFIG_DIR)]
    changes = [*_QUICK] if asked.is_quick else []
    model, predictions = folder / "model.safetensors", folder / "predictions.json"
    run("train", "train", *what, *where, *changes, "--trial", "0", "--output", str(model))
    asked.tell(**trained(folder))
    which = ["--inference", INFERENCE, "--model", str(model), "--output", str(predictions)]
    run("predict", "predict", *what, *where, *changes, *which)
    truth = root / "annotations" / "instances_val2017.json"
    scores = ["--predictions", str(predictions), "--output", str(folder / "coco_ap.json")]
    run("evaluate", "evaluate", "coco_ap", "--ground-truth", str(truth), *scores)
    scored = json.loads((folder / "coco_ap.json").read_text(encoding="utf-8"))
    asked.tell(ap=scored["values"]["AP"], ap_on_a_cpu=ap_on_a_cpu(preset, dataset))


class _Timed:
    """Runs commands in this process, and notes what each takes."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    def __call__(self, step: str, *arguments: str) -> None:
        start = time.monotonic()
        app(list(arguments), standalone_mode=False)
        seconds = self._asked.found["seconds_of"]
        self._asked.tell(seconds_of=seconds | {step: round(time.monotonic() - start, 1)})


def ap_on_a_cpu(preset: str, dataset: str) -> float | None:
    """Return the AP of the same training in docs/evidence/; None where it is not there."""
    if preset != "mini":
        return None
    wanted = {"dataset": dataset, "variant": VARIANT, "trial": "0", "inference": INFERENCE}
    wanted |= {"metric": "coco_ap", "key": "AP"}
    with EVIDENCE.open(encoding="utf-8", newline="") as file:
        values = [row["value"] for row in csv.DictReader(file) if wanted.items() <= row.items()]
    return float(values[0]) if values else None


def trained(folder: Path) -> dict[str, Any]:
    """Return what a training's log says at its end."""
    last = json.loads((folder / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    return {"last_of_log": last}
