"""A difference of cells and its errors, from the numbers of their trials and resampled images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

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
    """A difference and its two errors, at whatever level is asked for.

    Attributes:
        difference: what the models add to it, each the median over its trials.
        resampled: the same on resampled images, (resamples,); None if there are none.
        by_model: what each trial of each model adds to it; cells that share trainings are of one.
        by_trial: whether there are such cells, so that it is not the difference of their medians.
    """

    difference: float
    resampled: Values | None
    by_model: list[list[float]]
    by_trial: bool = False

    @property
    def is_trained_once(self) -> bool:
        """Whether a model has a single trial, which says nothing of other trainings."""
        return any(len(trials) == 1 for trials in self.by_model)

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


def errors_of(contrast: Contrast, cells: Mapping[CellName, Measured]) -> Errors:
    """Return a measured difference and its errors.

    Cells that share trainings, as two metrics or resolutions of one model do, are added up trial by
    trial, and the median is of these sums. The medians of such cells could be of different trials,
    so that what all have in common would not cancel, however many trials there are.
    """
    models = _models(contrast, cells)
    sums = [_sums(contrast, cells, names) for names in models]
    are_trained = [bool(cells[names[0]].trainings) for names in models]
    return Errors(
        difference=contrast.offset + sum(float(np.median(each)) for each in sums),
        resampled=_resampled(contrast, cells, models),
        by_model=[each.tolist() for each in compress(sums, are_trained)],
        by_trial=any(len(names) > 1 for names in models),
    )


def _models(contrast: Contrast, cells: Mapping[CellName, Measured]) -> list[list[CellName]]:
    """Put the cells together that share trainings and have as many trials."""
    models: list[tuple[frozenset[tuple[str, str]], list[CellName]]] = []
    for name in contrast.factors:
        trainings, names = cells[name].trainings, [name]
        apart = []
        for others, members in models:
            alike = len(cells[members[0]].numbers) == len(cells[name].numbers)
            if trainings & others and alike:
                trainings |= others
                names = [*members, *names]
            else:
                apart.append((others, members))
        models = [*apart, (trainings, names)]
    return [names for _, names in models]


def _sums(
    contrast: Contrast, cells: Mapping[CellName, Measured], names: Sequence[CellName]
) -> Values:
    """What each trial of a model adds to the difference, (trials,)."""
    return np.sum([contrast.factors[n] * np.array(cells[n].numbers) for n in names], axis=0)


def _resampled(
    contrast: Contrast, cells: Mapping[CellName, Measured], models: Sequence[Sequence[CellName]]
) -> Values | None:
    """The difference on each resample, (resamples,)."""
    found = {name: cells[name].resampled for name in contrast.factors}
    known = {name: values for name, values in found.items() if values is not None}
    if len(known) < len(found) or len({values.shape[1] for values in known.values()}) > 1:
        return None
    sums = [np.sum([contrast.factors[n] * known[n] for n in names], axis=0) for names in models]
    return contrast.offset + np.sum([np.median(each, axis=0) for each in sums], axis=0)
