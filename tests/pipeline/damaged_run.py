"""A small run of one training on disk, its commands, and what disks and people do to its files."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from test_changed_data import open_run, run_everything

from pointrend_repro import cli
from pointrend_repro.base.files import read_json
from pointrend_repro.base.origins import origin_path
from pointrend_repro.checkpoints.saved_models import (
    SavedModel,
    build_model,
    load_saved_model,
    save_model,
)
from pointrend_repro.experiments.grid import Grid
from small_experiment import DATASET, PRESET, VARIANT, small_settings

INFERENCE = "res28"


@dataclass(frozen=True)
class Run:
    """A small run of one training on disk, and a way to run its commands in this process."""

    folder: Path
    grid: Grid
    call: Callable[..., tuple[int, str]]

    @property
    def model(self) -> Path:
        return self.folder / "results" / PRESET / DATASET / VARIANT / "trial0/model.safetensors"

    @property
    def predictions(self) -> Path:
        return self.model.parent / INFERENCE / "predictions.json"

    @property
    def score(self) -> Path:
        return self.predictions.with_name("coco_ap.json")

    def predict(self, **other: Any) -> str:
        """What `predict` says, without older predictions."""
        shutil.rmtree(self.predictions.parent, ignore_errors=True)
        given = {"variant": VARIANT, "inference": INFERENCE, "model": self.model} | other
        where = ["--data-root", self.folder / "coco", "--config-dir", self.folder / "config"]
        code, told = self.call(
            *("predict", "--preset", PRESET, "--dataset", DATASET, "--device", "cpu"),
            *(part for key, value in given.items() for part in (f"--{key}", value)),
            *(*where, "--output", self.predictions),
        )
        assert self.predictions.exists() == (code == 0)
        return told

    def evaluate(self, *, all_at_once: bool = False) -> str:
        """What `evaluate` or `evaluate-all` says, without an older score."""
        self.score.unlink(missing_ok=True)
        truth = self.folder / "coco/annotations/instances_val2017.json"
        what = ["evaluate-all", f"coco_ap={truth}", f"boundary_ap={truth}"]
        if not all_at_once:
            what = ["evaluate", "coco_ap", "--ground-truth", str(truth)]
        output = self.score.parent if all_at_once else self.score
        code, told = self.call(*what, "--predictions", self.predictions, "--output", output)
        assert self.score.exists() == (code == 0)
        return told

    def forget_digests(self) -> None:
        """Make the records those of a version that kept none."""
        for result, step in ((self.model, "train"), (self.predictions, "predict")):
            origin = read_json(origin_path(result))
            for record in (origin["train"], origin[step]):
                for key in ("input_digest", "output_digest"):
                    record.pop(key, None)
            origin_path(result).write_text(json.dumps(origin))


class Runs:
    """Copies of one run, which the first of them makes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def copy(
        self,
        folder: Path,
        build_data: Callable[..., Path],
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> Run:
        """Return a copy in `folder`, whose commands run in this process."""
        if not (self._folder / "results").exists():
            build_data(root=self._folder / "coco")
            run_everything(self._folder)
        shutil.copytree(self._folder, folder)

        def call(*arguments: object) -> tuple[int, str]:
            monkeypatch.setattr(sys, "argv", ["pointrend-repro", *map(str, arguments)])
            capfd.readouterr()
            with pytest.raises(SystemExit) as ended:
                cli.main()
            return int(ended.value.code or 0), capfd.readouterr().err

        return Run(folder, open_run(folder).grid, call)


def put_another_head(path: Path) -> None:
    """A whole model of this project for the same classes, as a mix-up would leave it."""
    saved = load_saved_model(path)
    torch.manual_seed(0)
    other = build_model(small_settings("4conv").model, num_classes=len(saved.categories))
    save_model(path, SavedModel(other, saved.input, saved.categories))


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def half_of_the_objects(path: Path) -> None:
    found = read_json(path)
    assert len(found) > 1
    path.write_text(json.dumps(found[: len(found) // 2]))


def refused_and_kept(told: str, path: Path, damaged: bytes) -> None:
    lines = [line for line in told.splitlines() if "error: " in line]
    assert len(lines) == 1
    assert "Traceback" not in told
    assert f"{path}: is not what" in lines[0]
    assert lines[0].endswith("run again to remake it")
    aside = path.with_name(f"{path.name}.damaged")
    assert str(aside) in lines[0]
    assert aside.read_bytes() == damaged
    # Snakemake makes a result anew when it, or its record, is not there.
    assert not path.exists()
    assert not origin_path(path).exists()
    assert origin_path(path).with_name(f"{origin_path(path).name}.damaged").exists()
