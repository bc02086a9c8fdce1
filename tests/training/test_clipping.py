"""Clipping: a batch's gradient has the norm asked for at most, and else its own."""

import pytest
import torch
from torch import Tensor, nn

from pointrend_repro.data.batches import Batch, MicroBatch
from pointrend_repro.settings.schedule import OptimizerSettings
from pointrend_repro.training.processes import Processes
from pointrend_repro.training.update import State, update


class Pull(nn.Module):
    """Its gradient is the mean of its images, which are vectors here."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.zeros(2))
        self.other = nn.Parameter(torch.zeros(1))

    def forward(self, images: list[Tensor], targets: list[Tensor]) -> dict[str, Tensor]:
        mean = torch.stack(images).mean(0)
        return {"loss_pull": -(torch.cat([self.one, self.other]) * mean).sum()}


@pytest.mark.parametrize(("limit", "scale"), [(None, 1.0), (3.5, 0.5), (7.0, 1.0), (70.0, 1.0)])
def test_the_norm_of_the_whole_batch_is_limited(limit: float | None, scale: float) -> None:
    """A batch of two micro-batches whose mean gradient (2, 3, 6) has norm 7."""
    model = Pull()
    state = State(model, model, torch.optim.SGD(model.parameters(), lr=1.0))
    vectors = torch.tensor([[4.0, 0, 0], [0, 6.0, 12.0]])
    parts = [MicroBatch([v], [], weight=0.5, seed=0) for v in vectors]
    settings = OptimizerSettings(clip_norm=limit)
    numbers = update(state, Batch(parts, [1, 2]), Processes("cpu"), settings)
    assert numbers["loss"] == 0
    moved = torch.cat([model.one, model.other]).detach()
    torch.testing.assert_close(moved, scale * torch.tensor([2.0, 3, 6]), atol=1e-5, rtol=1e-5)
