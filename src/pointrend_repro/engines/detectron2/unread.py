"""Errors of pictures on their way out of detectron2's loader, so that they end in one line.

They travel as values: an exception of a loader's worker comes with a page of traceback. This needs
no detectron2.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pointrend_repro.base.errors import UserError

_ERROR = "error"


class UnreadPictureError(BaseException):
    """A picture cannot be used. Not an `Exception`, for which detectron2 logs a page.

    Attributes:
        error: says which, and why.
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
class RaisingErrors:
    """A loader of batches of examples, in which errors are raised."""

    loader: Iterable[list[dict[str, Any]]]

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        """Yield the loader's batches.

        Raises:
            UnreadPictureError: a batch has an error.
        """
        for batch in self.loader:
            for example in batch:
                if _ERROR in example:
                    raise UnreadPictureError(example[_ERROR])
            yield batch
