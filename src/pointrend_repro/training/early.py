"""An early look at the loss: whether it falls in the first hundred updates."""

import logging

_UPDATES = 100
_COMPARED = 20  # at the beginning and at the end of these: single batches differ much

_log = logging.getLogger(__name__)


class EarlyLoss:
    """Warns once, after a training's first hundred updates, if the loss has not fallen by then."""

    def __init__(self) -> None:
        self._losses: list[float] = []

    def see(self, iteration: int, loss: float) -> None:
        """Take the loss of one update.

        A training that continues from a checkpoint has been looked at before.

        Args:
            iteration: of the update, from 0.
        """
        if iteration >= _UPDATES or iteration != len(self._losses):
            return
        self._losses.append(loss)
        if len(self._losses) == _UPDATES:
            first, last = (
                sum(part) / _COMPARED
                for part in (self._losses[:_COMPARED], self._losses[-_COMPARED:])
            )
            if not last < first:
                _log.warning(
                    "the loss has not fallen in the first %d updates: %.4g at first, now %.4g "
                    "(means of %d); look at the masks (`pointrend-repro data check FOLDER`), the "
                    "class names, and optimizer.base_lr",
                    *(_UPDATES, first, last, _COMPARED),
                )
