"""By what a training recognises its own checkpoints and its runs in trackers."""

import hashlib
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pointrend_repro.base.digests import content_digest, short
from pointrend_repro.base.provenance import digest
from pointrend_repro.data.coco import CocoDataset
from pointrend_repro.data.records import AnyDataset
from pointrend_repro.data.segmentations import Segmentation
from pointrend_repro.declarations.family import family_of
from pointrend_repro.predictions.proposals import Proposals
from pointrend_repro.settings.identity import identity
from pointrend_repro.settings.of_family import AnyTrainingSettings


def checkpoint_digests(
    settings: AnyTrainingSettings,
    dataset: AnyDataset,
    seed: int,
    *,
    start_from: Path | None = None,
    proposals: Proposals | None = None,
) -> dict[str, str]:
    """Return all digests by which a training recognises its checkpoints: see `load_checkpoint`.

    Args:
        start_from: the model that it starts from; see `training.loop.train`.
    """
    start = settings.start_from
    source = Path(start.weights) if start and start.weights else start_from
    found = {
        "training_digest": training_digest(settings, dataset, seed, proposals),
        "data_digest": data_digest(dataset),
        "source_digest": short(content_digest(source)) if source and source.is_file() else None,
    }
    return {key: value for key, value in found.items() if value is not None}


def training_digest(
    settings: AnyTrainingSettings,
    dataset: AnyDataset,
    seed: int,
    proposals: Proposals | None = None,
) -> str:
    """Return a digest of what decides the weights, but for what `data_digest` has."""
    family = family_of(settings)
    of_image = family.function(family.identity)
    images = [of_image(image) for image in dataset.images]
    given = {} if proposals is None else {"proposals": content_digest(proposals.path)}
    return digest(identity(settings) | {"seed": seed, "images": images} | given)


def data_digest(dataset: AnyDataset) -> str | None:
    """Return a digest of masks, and of names and sizes of images; None of data without masks.

    Apart from `training_digest`, which would else make every checkpoint of the time before it one
    of other data.
    """
    if not isinstance(dataset, CocoDataset):
        return None
    found = hashlib.sha256()
    for image in dataset.images:
        found.update(f"{image.path.name} {image.height} {image.width}\n".encode())
        for annotation in image.annotations:
            for part in _parts(annotation.segmentation):
                found.update(part)
    return found.hexdigest()[:12]


def _parts(segmentation: Segmentation) -> Iterator[Any]:
    """A mask as bytes: 860,000 polygons of COCO as JSON would take a minute."""
    if isinstance(segmentation, dict):
        yield f"{segmentation['size']} {segmentation['counts']}\n".encode()
        return
    yield f"{len(segmentation)}\n".encode()
    for polygon in segmentation:
        yield f"{len(polygon)}\n".encode()
        yield polygon if isinstance(polygon, array) else array("d", polygon)
