"""Batches of detectron2's loader that can be trained on; errors of pictures end in one line.

Errors travel as values: an exception of a loader's worker comes with a page of traceback. This
needs no detectron2.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pointrend_repro.base.errors import UserError

_ERROR = "error"
_MOST_PASSED_OVER = 1000


class NoBatchError(BaseException):
    """There is no next batch. Not an `Exception`, for which detectron2 logs a page.

    Attributes:
        error: says why.
    """

    def __init__(self, error: UserError) -> None:
        super().__init__()
        self.error = error


@dataclass(frozen=True)
class ReturningErrors:
    """A mapper that returns a user's error in place of an example."""

    mapper: Callable[[dict[str, Any]], dict[str, Any] | None]

    def __call__(self, record: dict[str, Any]) -> dict[str, Any] | None:
        """Return what the mapper does, or the error with the size that batches are made by."""
        try:
            return self.mapper(record)
        except UserError as error:
            return {"width": record["width"], "height": record["height"], _ERROR: error}


@dataclass(frozen=True)
class UsableBatches:
    """A loader's batches but those without any object, and with its errors raised.

    An image is left without objects where all are faulty, or are less than a pixel once it is
    resized. Our engine trains on a batch of such images; detectron2's PointRend fails on one, since
    it joins the labels of no object.
    """

    loader: Iterable[list[dict[str, Any]]]

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        """Yield the batches.

        Raises:
            NoBatchError: a picture cannot be used, or too many batches one after another have no
                object.
        """
        passed_over = 0
        for batch in self.loader:
            for example in batch:
                if _ERROR in example:
                    raise NoBatchError(example[_ERROR])
            passed_over = passed_over + 1 if _is_without_objects(batch) else 0
            if passed_over > _MOST_PASSED_OVER:
                raise NoBatchError(
                    UserError(
                        f"{passed_over} batches one after another have no object that is left at "
                        "the size of training; `pointrend-repro data check` names faulty ones"
                    )
                )
            if not passed_over:
                yield batch


def _is_without_objects(batch: list[dict[str, Any]]) -> bool:
    return all("instances" in each and not len(each["instances"]) for each in batch)
