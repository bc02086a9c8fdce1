"""One small training by the command line, in processes of its own, and what may befall it."""

import os
from pathlib import Path
from typing import Any

from child_processes import Children, command, rank, run_children, train_arguments

from pointrend_repro.data.generated.coco_layout import generate_coco
from pointrend_repro.settings.generated import GeneratedSettings
from small_experiment import write_small_config

SIZE = GeneratedSettings(train_images=5, val_images=1, width_px=96, height_px=72, classes=5)


class Experiment:
    """A training of eight updates, which saves after 3, 6 and 8, run under several names."""

    def __init__(self, folder: Path, *, workers: int = 0, total_iters: int = 8) -> None:
        self.folder = folder
        self.root = folder / "data"
        if not self.root.exists():
            generate_coco(self.root, SIZE)
        self.config = folder / f"config_{workers}_{total_iters}"
        if not self.config.exists():
            write_small_config(
                self.config,
                optimizer={"images_per_batch": 4, "images_per_step": 2},
                schedule={"total_iters": total_iters},
                run={"loader_workers": workers},
            )

    def arguments(self, name: str) -> list[str]:
        return train_arguments(self.config, self.root, self.folder / name)

    def start(self, name: str, *accident: Any, count: int = 1) -> Children:
        log = self.folder / f"{name}.txt"
        return Children(command, self.arguments(name), *accident, count=count, log=log)

    def finish(self, name: str, *, count: int = 1) -> Path:
        """Run, or continue, the training to its end, and return its folder."""
        log = self.folder / f"{name}.txt"
        run_children(command, self.arguments(name), count=count, log=log)
        return self.folder / name


def model(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def before_update(iteration: int, what: Any, *args: Any, of_rank: int = 0) -> None:
    """In this process, let something happen in the middle of an iteration of one rank."""
    from pointrend_repro.training import loop

    update = loop.update

    def preceded(state: Any, *others: Any) -> Any:
        if state.iteration == iteration and rank() == of_rank:
            what(*args)
        return update(state, *others)

    loop.update = preceded


def signal_at(iteration: int, numbers: list[int], of_rank: int = 0) -> None:
    """An accident: signals reach one process in the middle of an iteration."""
    before_update(iteration, _signal_self, numbers, of_rank=of_rank)


def _signal_self(numbers: list[int]) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)
