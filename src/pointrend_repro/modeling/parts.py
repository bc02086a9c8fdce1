"""Several micro-batches in one forward pass."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """Consecutive images of a batch whose losses do not depend on the others'.

    Attributes:
        images: how many.
        seed: of what is drawn for them (dropout, points); none: the random state as it is.
    """

    images: int
    seed: int | None = None
