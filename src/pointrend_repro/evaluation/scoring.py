"""What the metrics of one prediction share: the files, each read once, and what was matched."""

from collections.abc import Callable, Collection, Hashable
from typing import Any, NamedTuple, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Scored(NamedTuple):
    """What an official tool says of predictions.

    Attributes:
        values: numbers in percent under the tool's names; None where there was nothing to score.
        by_image: what the tool, or we in its stead, counted image by image on the way there:
            `bootstrap.image_counts` makes of it what resampled images need. None: it cannot.
    """

    values: dict[str, float | None]
    by_image: Any = None


class ReadOnce:
    """Results of functions that read files, kept as long as this object lives.

    One is shared by the metrics of one prediction, so that each file is read and checked once.
    Whoever takes a result leaves it as it is. An error is not kept: each metric fails by itself.

    Attributes:
        metrics: those that share it.
    """

    def __init__(self, metrics: Collection[str] = ()) -> None:
        self.metrics = frozenset(metrics)
        self._found: dict[Hashable, Any] = {}

    def __call__(self, read: Callable[_P, _T], /, *arguments: _P.args, **options: _P.kwargs) -> _T:
        """Return `read(*arguments, **options)`, of an earlier call where there was one."""
        key = (read, arguments, tuple(sorted(options.items())))
        if key not in self._found:
            self._found[key] = read(*arguments, **options)
        found: _T = self._found[key]
        return found
