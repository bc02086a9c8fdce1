"""Images of which one figure shows the first, and a second figure those behind them."""

from collections.abc import Sequence
from typing import TypeVar

_Shown = TypeVar("_Shown")


def behind_first(chosen: Sequence[_Shown], after: int) -> tuple[list[_Shown], str]:
    """Leave out the `after` first, which another figure shows; none if there are no others.

    Returns:
        The others, and how a caption goes on that has said how all of them are chosen.
    """
    others = list(chosen[after:])
    if not after or not others:
        return list(chosen), ""
    return others, f", but for the first {after}, which another figure shows"
