"""Collecting a thousand metric files into metrics.csv, with a thousand resamples in each.

`plain` reads the same files by `json` and writes the table by pandas, and checks nothing. `command`
is `pointrend-repro collect` with all that a process needs to start (seconds of the clock only).
"""

import csv
import io
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from benchmarks.scaling.made_up import write_metrics as write_made_up
from pointrend_repro.config.folder import CONFIG_DIR
from pointrend_repro.experiments.loading import load_grid
from pointrend_repro.reporting.collect import COLUMNS, METRICS_FILE, PERCENT, write_metrics
from pointrend_repro.tools.bench.case import Case, Size

_STEPS = ("train", "predict", "evaluate")
_RESAMPLES = {"full": 1000, "tiny": 2}
_TRIALS = {"full": {"coco": 15, "cityscapes": 15}, "tiny": {"coco": 1, "cityscapes": 1}}


class Files:
    """A preset with many trials, and its metric files, in a folder that lives as long as this."""

    def __init__(self, size: Size) -> None:
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        self.config = folder / "config"
        _copy_config(self.config, _TRIALS[size])
        self.grid = load_grid("paper", self.config)
        self.results = folder / "results"
        write_made_up(self.grid, self.results / "paper", resamples=_RESAMPLES[size])


def make(size: Size, device: str) -> Case:
    files = Files(size)
    return Case(
        settings={"files": len(files.grid.evaluations), "resamples": _RESAMPLES[size]},
        sides={
            "ours": lambda: lambda: ours(files),
            "plain": lambda: lambda: plain(files),
            "command": lambda: lambda: command(files),
        },
        compare=compare,
    )


def ours(files: Files) -> str:
    write_metrics(files.grid, files.results / "paper")
    return (files.results / "paper" / METRICS_FILE).read_text()


def plain(files: Files) -> str:
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for path in (files.results / "paper").glob("*/*/trial*/*/*.json"):
        content = json.loads(path.read_text())
        origin = content["origin"]
        of_all = {
            **{key: origin[key] for key in COLUMNS if key in origin},
            "metric": content["metric"],
            "unit": PERCENT,
            "torch": origin["train"]["versions"]["torch"],
            **{key: origin["train"][key] for key in COLUMNS if key in origin["train"]},
            **{f"train_{key}": origin["train"][key] for key in ("wall_s", "peak_memory_mb")},
            **{f"{step}_command": origin[step]["command"] for step in _STEPS},
            "file": str(path.relative_to(files.results / "paper")),
            "state": "no digest",
        }
        values = sorted(content["values"].items())
        rows += [{**of_all, "key": key, "value": value} for key, value in values]
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(["file", "key"])
    text: str = frame.to_csv(index=False)
    return text


def command(files: Files) -> str:
    subprocess.run(
        [
            *(sys.executable, "-m", "pointrend_repro", "collect", "--preset", "paper"),
            *("--results-dir", str(files.results), "--config-dir", str(files.config)),
        ],
        check=True,
    )
    return (files.results / "paper" / METRICS_FILE).read_text()


def compare(ours: str, theirs: str) -> dict[str, float]:
    """Rows that differ: none."""
    a, b = (sorted(map(tuple, csv.reader(io.StringIO(text)))) for text in (ours, theirs))
    assert a == b
    return {}


def _copy_config(folder: Path, trials: dict[str, int]) -> None:
    shutil.copytree(CONFIG_DIR, folder)
    preset = folder / "presets/paper.yaml"
    content = yaml.safe_load(preset.read_text())
    content["trials"] |= trials
    preset.write_text(yaml.safe_dump(content))
