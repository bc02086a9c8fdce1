"""Gives up a server that sends too slowly."""

from collections.abc import Callable

from pointrend_repro.data.fetch.request import Patience, TransientError


class SpeedWatch:
    """Counts bytes as they arrive, by a clock in seconds."""

    def __init__(self, patience: Patience, clock: Callable[[], float]) -> None:
        self._patience, self._clock = patience, clock
        self._since, self._bytes = clock(), 0

    def count(self, number: int) -> None:
        """Count bytes that have arrived.

        Raises:
            TransientError: for `slow_for_s` they arrived more slowly than `lowest_bytes_per_s`.
        """
        self._bytes += number
        passed, lowest = self._clock() - self._since, self._patience.lowest_bytes_per_s
        if passed < self._patience.slow_for_s:
            return
        if self._bytes < lowest * passed:
            raise TransientError(
                f"the server sends {self._bytes / passed:.1f} bytes a second, fewer than "
                f"{lowest:g}",
                is_slow=True,
            )
        self._since, self._bytes = self._clock(), 0
