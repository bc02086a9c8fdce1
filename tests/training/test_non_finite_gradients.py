"""A loss that is finite, but whose gradient is not, changes no weight."""

import json
import logging
from pathlib import Path

import pytest
import torch
from child_processes import rank, run_children
from torch import Tensor, nn

from pointrend_repro.base.errors import UserError
from pointrend_repro.data.batches import Batch, MicroBatch
from pointrend_repro.settings.schedule import OptimizerSettings
from pointrend_repro.training.processes import Processes
from pointrend_repro.training.update import State, update


class Length(nn.Module):
    """Its loss is the length of a vector, whose gradient at zero is NaN."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, images: list[Tensor], targets: list[Tensor]) -> dict[str, Tensor]:
        return {"loss_length": (self.weight * images[0]).square().sum().sqrt()}


def new_state(processes: Processes) -> State:
    model = Length()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    shared, optimizer = processes.prepare(model, optimizer, find_unused_parameters=False)
    return State(model, shared, optimizer)


def batch(*values: float) -> Batch:
    parts = [MicroBatch([torch.full((3,), v)], [], 1 / len(values), seed=0) for v in values]
    return Batch(parts, [7, 8])


@pytest.mark.parametrize("clip", [None, 35.0])
def test_it_stops_the_training_and_names_the_images(clip: float | None) -> None:
    processes = Processes("cpu")
    state = new_state(processes)
    with pytest.raises(UserError, match=r"^iteration 0: the gradient is not finite") as told:
        update(state, batch(1.0, 0.0), processes, OptimizerSettings(clip_norm=clip))
    assert "images [7, 8]" in str(told.value)
    assert "loss_length=0.866" in str(told.value)
    assert state.model.weight.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("clip", [None, 35.0])
def test_a_skipped_update_changes_neither_weights_nor_momentum(
    clip: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    processes = Processes("cpu")
    settings = OptimizerSettings(clip_norm=clip, on_non_finite_loss="skip", max_skipped_updates=1)
    state, other = new_state(processes), new_state(processes)
    update(state, batch(1.0), processes, settings)
    with caplog.at_level(logging.WARNING):
        skipped = update(state, batch(0.0), processes, settings)
    assert skipped == {"loss": 0.0, "loss_length": 0.0, "skipped_updates": 1}
    assert "the gradient is not finite" in caplog.text
    update(state, batch(2.0), processes, settings)
    for value in (1.0, 2.0):
        update(other, batch(value), processes, settings)
    assert torch.equal(state.model.weight, other.model.weight)
    with pytest.raises(UserError, match="after 1 updates were skipped"):
        update(state, batch(0.0), processes, settings)


def write_weights(folder: Path) -> None:
    """Process 1 alone has an image whose gradient is not finite, in the second of three updates."""
    processes = Processes("cpu")
    state = new_state(processes)
    settings = OptimizerSettings(on_non_finite_loss="skip")
    for value in (1.0, 0.0, 2.0):
        own = MicroBatch([torch.full((3,), value if rank() else 1.0)], [], 0.5, seed=0)
        update(state, Batch([own], [1, 2]), processes, settings)
    found = {"skipped": state.skipped, "weights": state.model.weight.tolist()}
    (folder / f"{rank()}.json").write_text(json.dumps(found))
    processes.end()


def test_all_processes_skip_what_one_of_them_cannot_learn(tmp_path: Path) -> None:
    run_children(write_weights, tmp_path, count=2, log=tmp_path / "log.txt")
    first, second = (json.loads((tmp_path / f"{n}.json").read_text()) for n in (0, 1))
    assert first == second
    assert first["skipped"] == 1
    assert all(0 < weight < 1 for weight in first["weights"])
