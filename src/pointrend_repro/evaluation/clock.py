"""A clock for functions that may run on a GPU."""

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch


class Clock:
    """Adds up the time of functions, by name; a GPU is waited for before and after each."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.spent_ms: dict[str, float] = defaultdict(float)

    def timing(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same, and adds its time, in ms, to that of a name."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = self._now()
            result = function(*args, **kwargs)
            self.spent_ms[name] += 1000 * (self._now() - start)
            return result

        return timed

    def _now(self) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()
