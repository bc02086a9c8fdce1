"""The errors of a difference of cells, from the numbers of their trials and on resampled images."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pointrend_repro.reporting.claims.contrasts import CellName, Contrast
from pointrend_repro.reporting.claims.intervals import (
    LEVEL,
    ImagesError,
    Interval,
    combine,
    images_error,
    trainings_interval,
)
from pointrend_repro.reporting.claims.measuring import Measured, Values
from pointrend_repro.reporting.claims.significance import p_value


@dataclass(frozen=True)
class Errors:
    """The two errors of a difference, at whatever level is asked for.

    Attributes:
        difference: of the medians over the trials.
        resampled: the same on resampled images, (resamples,); None if there are none.
        by_model: what each trial of each model adds to it; models that share trainings are one.
    """

    difference: float
    resampled: Values | None
    by_model: list[list[float]]

    def over_images(self, level: float = LEVEL) -> ImagesError | None:
        """Return that over images; None without resamples."""
        if self.resampled is None:
            return None
        return images_error(self.difference, self.resampled, level)

    def over_trainings(self, level: float = LEVEL) -> Interval | None:
        """Return that over trainings; None with a single trial, or if nothing is trained."""
        if not self.by_model:
            return None
        return trainings_interval(self.difference, self.by_model, level)

    def p_value(self) -> float | None:
        """Return the p-value of both together; None where neither is known."""

        def both(level: float) -> Interval | None:
            images = self.over_images(level)
            known = (images and images.interval, self.over_trainings(level))
            return combine(self.difference, [each for each in known if each])

        images = self.over_images()
        resamples = None if images is None else int(np.count_nonzero(~np.isnan(images.centred)))
        return p_value(self.difference, both, resamples=resamples)


def errors_of(difference: float, contrast: Contrast, cells: Mapping[CellName, Measured]) -> Errors:
    """Return the errors of a measured difference."""
    return Errors(difference, _difference_resampled(contrast, cells), _by_model(contrast, cells))


def _difference_resampled(contrast: Contrast, cells: Mapping[CellName, Measured]) -> Values | None:
    """The difference of the medians over the trials on each resample, (resamples,)."""
    resampled = {name: cell.resampled for name, cell in cells.items()}
    shapes = {None if values is None else values.shape[1] for values in resampled.values()}
    if None in shapes or len(shapes) > 1:
        return None
    medians = {name: np.median(v, axis=0) for name, v in resampled.items() if v is not None}
    terms = [factor * medians[name] for name, factor in contrast.factors.items()]
    return contrast.offset + np.sum(terms, axis=0)


def _by_model(contrast: Contrast, cells: Mapping[CellName, Measured]) -> list[list[float]]:
    """What each trial of each model adds to the difference.

    What trials share, as weights that two models begin with, cancels where it is the same: such
    models are added up trial by trial, and count as one. A method that is not trained adds nothing.
    """
    groups: list[tuple[frozenset[tuple[str, str]], list[float]]] = []
    for name, factor in contrast.factors.items():
        trainings, added = cells[name].trainings, [factor * v for v in cells[name].numbers]
        if not trainings:
            continue
        apart = []
        for others, sums in groups:
            if trainings & others and len(sums) == len(added):
                trainings |= others
                added = [one + other for one, other in zip(added, sums, strict=True)]
            else:
                apart.append((others, sums))
        groups = [*apart, (trainings, added)]
    return [sums for _, sums in groups]
