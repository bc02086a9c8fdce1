"""Whose boxes a detector learns from, and detects in, instead of proposals of its own.

This module imports neither torch nor Snakemake: a dry run reads it.
"""

from typing import Any

from pydantic import Field

from pointrend_repro.base.names import Name
from pointrend_repro.settings.identity import added
from pointrend_repro.settings.values import PositiveInt, Split, Strict


class ProposalsFrom(Strict):
    """A prediction whose boxes are proposals; trial k reads those of its trial k.

    A training reads the boxes of the training images, a prediction those of the images that it is
    of.
    """

    variant: Name
    inference: Name = Field(description="the way of that variant to predict")
    dataset: Name | None = Field(
        None, description="that it was trained on, as presets name it; none: the same one"
    )
    per_image: PositiveInt = Field(1000, description="at most, the highest-scoring")
    per_image_at_test: PositiveInt | None = added(None, "none: per_image, as in training")

    def most(self, split: Split) -> int:
        """Return how many boxes of an image of a split are taken at most."""
        at_test = self.per_image if self.per_image_at_test is None else self.per_image_at_test
        return self.per_image if split == "train" else at_test


class ResolvedProposals(ProposalsFrom):
    """Whose boxes they are, with all that decides them.

    `dataset` is the data set's own name here, no longer the preset's.
    """

    source_digest: str | None = Field(
        None, description="of the settings of the prediction and of the trainings of its models"
    )


# The setting of a training.
PROPOSALS_FROM: Any = added(None, "none: a detector's own proposals, if it has any")
