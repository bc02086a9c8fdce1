"""A property of many entries, of which most share their values, in 4 bytes for each."""

from array import array
from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Column:
    """One number per entry: the index of its value in `values`, which are all different."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[Hashable, int] = {}
        self._codes = array("i")

    def append(self, value: Hashable) -> None:
        """Add an entry's value."""
        place = self._places.setdefault(value, len(self.values))
        if place == len(self.values):
            self.values.append(value)
        self._codes.append(place)

    @property
    def codes(self) -> NDArray[np.int32]:
        """The indices, (N,)."""
        return np.frombuffer(self._codes, dtype=np.int32)
