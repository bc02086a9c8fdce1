"""What all data sets provide, whatever the family of the models that read them."""

from collections.abc import Sequence
from typing import Any, Protocol


class Record(Protocol):
    """One image of a data set, for models of any family."""

    @property
    def id(self) -> Any:
        """Identifies the image in the data set."""
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
        """Each with `id` and `name`, in the order of the model's classes."""
        ...

    @property
    def images(self) -> Sequence[Any]:
        """One record per image."""
        ...
