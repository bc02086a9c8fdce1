"""What all data sets have, of whatever family the models are that read them."""

from collections.abc import Sequence
from typing import Any, Protocol


class Record(Protocol):
    """One image of a data set, of whatever family the model is."""

    @property
    def id(self) -> Any:
        """Names the image in the data set."""
        ...

    @property
    def width(self) -> int:
        """In pixels."""
        ...

    @property
    def height(self) -> int:
        """In pixels."""
        ...


class AnyDataset(Protocol):
    """One split of a data set."""

    @property
    def categories(self) -> Sequence[Any]:
        """With `id` and `name` each, in the order of the model's classes."""
        ...

    @property
    def images(self) -> Sequence[Any]:
        """A record an image."""
        ...
