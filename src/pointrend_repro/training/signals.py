"""Signals that ask a training to stop: a cluster's warning before it reclaims the machine."""

import signal
import time
from types import FrameType, TracebackType
from typing import Any

# Slurm sends SIGTERM on preemption and scancel, and SIGUSR1 if `--signal=USR1@300` says so. Ctrl-C
# sends SIGINT to Snakemake and to all that it runs.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)

# torchrun hands Ctrl-C on to processes that have had it from the terminal already.
_AGAIN_S = 3


class StopSignals:
    """Records a signal instead of ending the process, inside a `with` block.

    The training checks `received` between iterations. Further signals change nothing, as it is
    already stopping; but Ctrl-C some seconds later ends the process at once, for people who cannot
    wait. Afterwards the previous handlers are restored.
    """

    def __init__(self) -> None:
        self.received = 0
        self._time_s = 0.0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopSignals":
        self._before = {number: signal.signal(number, self._note) for number in STOP_SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            # None stands for a handler that was not set from Python, and cannot be restored.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        if not self.received:
            self.received, self._time_s = number, time.monotonic()
        elif number == signal.SIGINT and time.monotonic() - self._time_s > _AGAIN_S:
            raise KeyboardInterrupt
