"""Estimates as ranges: a low and a high end, never one number that looks exact."""

from typing import NamedTuple


class Range(NamedTuple):
    """From `low` to `high`, both in the same unit."""

    low: float
    high: float

    def __mul__(self, other: "Range | float") -> "Range":  # type: ignore[override]
        """Scale by a number, or by a range of positive numbers."""
        if isinstance(other, Range):
            return Range(self.low * other.low, self.high * other.high)
        return Range(self.low * other, self.high * other)

    def __truediv__(self, other: "Range") -> "Range":
        """Divide by a range of positive numbers: the faster, the shorter."""
        return Range(self.low / other.high, self.high / other.low)

    def plus(self, other: "Range") -> "Range":
        """Add end to end; `+` would join two tuples."""
        return Range(self.low + other.low, self.high + other.high)


NOTHING = Range(0.0, 0.0)


def total(ranges: "list[Range]") -> Range:
    """Add up ranges."""
    return Range(sum(r.low for r in ranges), sum(r.high for r in ranges))
