"""Examples with the boxes that a detector learns from instead of proposals of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from pointrend_repro.data.batches import TargetLike
from pointrend_repro.predictions.proposals import Proposals


@dataclass(frozen=True)
class WithProposals:
    """Makes examples as `make_example` does, which is given each image's boxes, too."""

    make_example: Callable[..., tuple[Tensor, TargetLike]]
    proposals: Proposals

    def __call__(self, record: Any, *, rng: np.random.Generator) -> tuple[Tensor, TargetLike]:
        """Make an example; an image without a box has none to learn from but its objects'."""
        return self.make_example(record, rng=rng, proposals=self.proposals.of(record.id))
