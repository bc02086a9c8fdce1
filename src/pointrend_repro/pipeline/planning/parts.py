"""What a model's parts and its image sizes make of a trunk's published times."""

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import AfterValidator

from pointrend_repro.pipeline.planning.ranges import Range
from pointrend_repro.settings.backbone import BackboneSettings
from pointrend_repro.settings.schedule import InputSettings
from pointrend_repro.settings.values import NotNegative, PositiveFloat, Strict

# COCO's images at the published sizes, in pixels: 720 x 960, the mean in training, to 800 x 1333.
_PUBLISHED_PIXELS = (0.69e6, 1.07e6)
_AS_PUBLISHED = Range(1.0, 1.0)


def _ascending(values: tuple[float, float]) -> Range:
    if values[0] > values[1]:
        raise ValueError(f"{list(values)}: write the smaller number first")
    return Range(*values)


PublishedRange = Annotated[tuple[NotNegative, NotNegative], AfterValidator(_ascending)]
PositiveRange = Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(_ascending)]


class Factors(Strict):
    """What a part of a model makes of the times of a model without it."""

    train: PublishedRange
    test: PublishedRange
    model_mb: NotNegative
    source: str


def parts_of(backbone: BackboneSettings) -> Iterator[str]:
    """Yield the names in `config/speeds.yaml` of what is built into a trunk and its pyramid."""
    if backbone.deformable:
        yield "deformable"
    if backbone.context_ratio is not None:
        yield "context"
    if backbone.balancing_blocks:
        yield "balancing"
    if backbone.norm == "sync_bn":
        yield "sync_bn"


def all_factors(names: list[str], known: Mapping[str, Factors]) -> tuple[Range, Range, float]:
    """Return the factors of training and test, and the MB, of parts together."""
    train, test, model_mb = _AS_PUBLISHED, _AS_PUBLISHED, 0.0
    for name in names:
        train, test = train * Range(*known[name].train), test * Range(*known[name].test)
        model_mb += known[name].model_mb
    return train, test, model_mb


def size_factors(size: InputSettings) -> tuple[Range, Range]:
    """Return by how much larger images are than those of the published times.

    Only the sizes that are drawn from a range are reckoned with, for square images: all others are
    those of the published times.

    Returns:
        In training and at test time.
    """
    drawn = size.train_short_edge_range_px
    if drawn is None:
        return _AS_PUBLISHED, _AS_PUBLISHED
    low, high = drawn
    mean_square = (low**2 + low * high + high**2) / 3
    return _against_published(mean_square), _against_published(size.test_short_edge_px**2)


def _against_published(pixels: float) -> Range:
    least, most = _PUBLISHED_PIXELS
    return Range(pixels / most, pixels / least)
