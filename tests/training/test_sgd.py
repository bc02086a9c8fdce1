"""SGD as torch's, and no process of ours that imports torch's compiler for nothing."""

import copy
import subprocess
import sys
from pathlib import Path

import torch
from child_processes import train_arguments

from pointrend_repro.data.generated.coco_layout import generate_coco
from pointrend_repro.settings.generated import GeneratedSettings
from pointrend_repro.training.sgd import SGD
from small_experiment import write_small_config

SIZE = GeneratedSettings(train_images=2, val_images=1, width_px=96, height_px=72, classes=5)


def weights() -> list[torch.nn.Parameter]:
    draws = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(5, 3, generator=draws)) for _ in range(3)]


def run(optimizer: torch.optim.SGD, *, updates: int) -> None:
    for number in range(updates):
        optimizer.zero_grad()
        for group in optimizer.param_groups:
            group["lr"] = 0.1 / (number + 1)
            for weight in group["params"]:
                (weight**2 * number).sum().backward()
        optimizer.step()


def made(kind: type[torch.optim.SGD]) -> torch.optim.SGD:
    first, second, third = weights()
    optimizer = kind([{"params": [first]}], lr=0.1, momentum=0.9, weight_decay=0.01)
    optimizer.add_param_group({"params": [second, third], "weight_decay": 0.0})
    return optimizer


def flat(optimizer: torch.optim.SGD) -> torch.Tensor:
    return torch.cat([w.detach() for group in optimizer.param_groups for w in group["params"]])


def test_updates_and_state_are_torchs() -> None:
    ours, torchs = made(SGD), made(torch.optim.SGD)
    run(ours, updates=3)
    run(torchs, updates=3)
    assert torch.equal(flat(ours), flat(torchs))
    continued = made(SGD)
    continued.load_state_dict(copy.deepcopy(torchs.state_dict()))
    for new, old in zip(continued.param_groups, torchs.param_groups, strict=True):
        for there, here in zip(new["params"], old["params"], strict=True):
            there.data.copy_(here.data)
    run(continued, updates=2)
    run(torchs, updates=2)
    assert torch.equal(flat(continued), flat(torchs))
    assert ours.state_dict().keys() == torchs.state_dict().keys()


def run_alone(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


FOUND = "print([name for name in ('torch._dynamo', 'sympy') if name in sys.modules])"


def test_training_leaves_the_compiler_out(tmp_path: Path) -> None:
    """Its import takes as long as torch's own, and `make smoke-papers` trains 86 times."""
    generate_coco(tmp_path / "data", SIZE)
    write_small_config(
        tmp_path / "config",
        optimizer={"clip_norm": 1.0},
        schedule={"total_iters": 2, "lr_drop_iters": []},
    )
    train = train_arguments(tmp_path / "config", tmp_path / "data", tmp_path / "model")
    start = (
        f"import sys; from pointrend_repro.cli import app; app({train!r}, standalone_mode=False)"
    )
    assert run_alone(f"{start}; {FOUND}") == "[]"


def test_reading_a_model_leaves_the_compiler_out() -> None:
    """`load_saved_model` first builds the model on the meta device; here each model of smoke."""
    code = (
        "import sys, torch; from pointrend_repro.experiments.loading import load_grid\n"
        "from pointrend_repro.base.torchvision_import import import_torchvision as start; start()\n"
        "from pointrend_repro.checkpoints.saved_models import build_model\n"
        "papers = ['pointrend', 'mask_rcnn', 'sharpmask', '3dfuture']\n"
        "grid = load_grid('smoke', papers=papers)\n"
        "with torch.device('meta'):\n"
        "    for each in grid.trainings:\n"
        "        build_model(grid.training_settings(each.dataset, each.variant).model, 6)\n"
    )
    assert run_alone(code + FOUND) == "[]"
