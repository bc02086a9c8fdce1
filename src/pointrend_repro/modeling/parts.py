"""Several micro-batches in one forward pass."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """Consecutive images of a batch, one micro-batch, whose losses depend on no other image.

    Attributes:
        images: how many.
        seed: for what is drawn for them (dropout, points); none: the random state as it is.
    """

    images: int
    seed: int | None = None
