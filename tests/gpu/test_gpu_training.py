"""Trainings on a GPU: continued there and on a CPU, repeated, and as one rank of several."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pointrend_repro.base.errors import StoppedBySignal
from pointrend_repro.training.loop import train
from pointrend_repro.training.signals import STOP_SIGNALS
from small_experiment import read_train_split, small_settings

pytestmark = pytest.mark.needs_gpu

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")


@pytest.fixture
def root(coco_builder: Callable[..., Path]) -> Path:
    return coco_builder(train_images=5)


class StopAfter:
    """Signals that arrive once some iterations have begun."""

    def __init__(self, iterations: int) -> None:
        self.left = iterations

    @property
    def received(self) -> int:
        self.left -= 1
        return STOP_SIGNALS[0] if self.left < 0 else 0


def trained(folder: Path, root: Path, device: torch.device, stop: Any = None) -> Path:
    """Run a training of eight updates, or continue it."""
    dataset = read_train_split(root)
    train(small_settings(), dataset, seed=0, folder=folder, device=device.type, stop=stop)
    return folder


def stopped(folder: Path, root: Path, device: torch.device, after: int) -> Path:
    with pytest.raises(StoppedBySignal):
        trained(folder, root, device, StopAfter(after))
    return folder


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]


def newest(folder: Path) -> dict[str, Any]:
    path = max((folder / "checkpoints").glob("iter_*.pt"))
    saved: dict[str, Any] = torch.load(path, weights_only=True)
    return saved


def assert_alike(found: list[float], wanted: list[float], *, first: float, last: float) -> None:
    """The first update has the same loss; later ones part, as rounding decides what is sampled."""
    assert len(found) == len(wanted) == 8
    assert found[0] == pytest.approx(wanted[0], rel=first)
    assert sum(found) == pytest.approx(sum(wanted), rel=last)


def test_a_training_is_repeated_but_for_rounding(
    tmp_path: Path, root: Path, device: torch.device
) -> None:
    """The CPU's to the last bit is promised; a GPU adds in another order each time."""
    one, other = (losses(trained(tmp_path / name, root, device)) for name in "ab")
    assert_alike(other, one, first=1e-4, last=0.05)


def test_a_checkpoint_of_a_gpu_continues_there(
    tmp_path: Path, root: Path, device: torch.device
) -> None:
    whole = trained(tmp_path / "whole", root, device)
    cut = stopped(tmp_path / "cut", root, device, after=4)
    assert newest(cut)["iteration"] == 4
    assert_alike(losses(trained(cut, root, device)), losses(whole), first=1e-4, last=0.05)
    assert newest(cut)["iteration"] == 8


def test_a_checkpoint_of_a_gpu_continues_on_a_cpu_and_back(
    tmp_path: Path, root: Path, device: torch.device
) -> None:
    folder = stopped(tmp_path / "cut", root, device, after=3)
    saved = newest(folder)
    stopped(folder, root, CPU, after=2)
    assert newest(folder)["iteration"] == 5
    assert newest(folder)["model"].keys() == saved["model"].keys()
    momentum = [state["momentum_buffer"] for state in saved["optimizer"]["state"].values()]
    assert any(buffer.abs().max() > 0 for buffer in momentum if buffer is not None)
    trained(folder, root, device)
    assert len(losses(folder)) == 8
    assert all(torch.isfinite(value).all() for value in newest(folder)["model"].values())


def test_one_rank_of_nccl_trains_as_a_process_alone(
    tmp_path: Path, root: Path, device: torch.device
) -> None:
    alone = trained(tmp_path / "alone", root, device)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1"]
    program = [str(Path(__file__).with_name("one_rank.py")), device.type, str(root)]
    paths = [str(ROOT / "src"), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, *launch, *program, str(tmp_path / "rank")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"backend: {'nccl' if device.type == 'cuda' else 'gloo'}" in done.stdout
    assert_alike(losses(tmp_path / "rank"), losses(alone), first=1e-4, last=0.05)
