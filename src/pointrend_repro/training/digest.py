"""By what a training recognises its own checkpoints and its runs in trackers."""

from pointrend_repro.base.digests import content_digest
from pointrend_repro.base.provenance import digest
from pointrend_repro.data.records import AnyDataset
from pointrend_repro.declarations.family import family_of
from pointrend_repro.predictions.proposals import Proposals
from pointrend_repro.settings.identity import identity
from pointrend_repro.settings.of_family import AnyTrainingSettings


def training_digest(
    settings: AnyTrainingSettings,
    dataset: AnyDataset,
    seed: int,
    proposals: Proposals | None = None,
) -> str:
    """Return a digest of everything that decides the weights."""
    family = family_of(settings)
    of_image = family.function(family.identity)
    images = [of_image(image) for image in dataset.images]
    given = {} if proposals is None else {"proposals": content_digest(proposals.path)}
    return digest(identity(settings) | {"seed": seed, "images": images} | given)
