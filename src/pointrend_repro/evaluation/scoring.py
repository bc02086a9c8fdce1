"""What the metrics of one prediction share: files, each read once, and matches."""

from collections.abc import Callable, Collection, Hashable
from typing import Any, NamedTuple, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Scored(NamedTuple):
    """An official tool's results for predictions.

    Attributes:
        values: numbers in percent under the tool's names; None where there was nothing to score.
        by_image: what the tool, or our code in its place, counted image by image on the way:
            `bootstrap.image_counts` resamples from it. None: the metric cannot be resampled.
        curves: what figures plot of it, as JSON; None: nothing.
        by_class: the first of `values` for each class, by its name; None: not told.
    """

    values: dict[str, float | None]
    by_image: Any = None
    curves: dict[str, Any] | None = None
    by_class: dict[str, float | None] | None = None


class ReadOnce:
    """Results of functions that read files, kept as long as this object lives.

    One is shared by the metrics of one prediction, so that each file is read and checked once.
    Results must not be modified. Errors are not kept: each metric fails by itself.

    Attributes:
        metrics: those that share this object.
    """

    def __init__(self, metrics: Collection[str] = ()) -> None:
        self.metrics = frozenset(metrics)
        self._found: dict[Hashable, Any] = {}

    def __call__(self, read: Callable[_P, _T], /, *arguments: _P.args, **options: _P.kwargs) -> _T:
        """Return `read(*arguments, **options)`, or the result of an earlier equal call."""
        key = (read, arguments, tuple(sorted(options.items())))
        if key not in self._found:
            self._found[key] = read(*arguments, **options)
        found: _T = self._found[key]
        return found
