"""Declarations by name: those in a folder, and those of other packages, by entry points.

Listing them only lists files; a declaration is imported when it is asked for.
"""

import functools
import hashlib
import importlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from pointrend_repro.base.benchmark_tools import how_to_install
from pointrend_repro.base.errors import UserError, printable_line, suggest
from pointrend_repro.base.names import is_name

_PACKAGE = __name__.partition(".")[0]


class Declaration(Protocol):
    """The interface of all declarations."""

    @property
    def name(self) -> str:
        """The name of its file, or of its entry point."""
        ...


T = TypeVar("T", bound=Declaration)


@dataclass(frozen=True)
class Declared(Generic[T]):
    """All declarations of one class.

    Attributes:
        what: the kind's name in messages.
        declaration: the class.
        folder: the package with this project's declarations, one module each.
        attribute: the name of the declaration in such a module.
        group: the group of entry points by which other packages declare theirs.
    """

    what: str
    declaration: type[T]
    folder: str
    attribute: str
    group: str

    def names(self) -> list[str]:
        """Return the names of all declarations, sorted, without importing any.

        Raises:
            UserError: two have the same name.
        """
        return sorted(self._places())

    def find(self, name: str) -> T:
        """Return the declaration of a name, importing no other.

        Raises:
            UserError: there is none of this name, two have it, or it is not a declaration.
        """
        places = self._places()
        if name not in places:
            raise UserError(f"there is no {self.what} {name!r}{suggest(name, sorted(places))}")
        place = places[name]
        if place is None:
            module = importlib.import_module(f"{self.folder}.{name}")
            found: T = getattr(module, self.attribute)
            return found
        return _load(place, self.what, self.declaration)

    def all(self) -> list[T]:
        """Import and return all declarations, by name.

        Raises:
            UserError: as in `find`.
        """
        return [self.find(name) for name in self.names()]

    def is_own(self, name: str) -> bool:
        """Whether this package itself declares it; nothing is imported."""
        return self._places().get(name, name) is None

    def files(self, name: str) -> dict[str, str]:
        """Return the module and digest of a declaration's file if it is not of this package."""
        place = self._places().get(name)
        return {} if place is None else outside_files([place.module])

    def _places(self) -> dict[str, EntryPoint | None]:
        """By name, each declaration's entry point; None for those in the folder."""
        return _places(self.what, self.folder, self.group, tuple(sys.path))


def load_function(path: str) -> Any:
    """Return the function that a declaration names by `module:function`.

    Raises:
        UserError: there is none, or its module cannot be imported.
    """
    module_name, _, function = path.partition(":")
    try:
        return getattr(importlib.import_module(module_name), function)
    except (ImportError, AttributeError) as error:
        told = printable_line(error) + how_to_install(error)
        raise UserError(f"{path}: cannot be imported: {told}") from error


def outside_files(modules: Iterable[str]) -> dict[str, str]:
    """Return the digest of the file of each imported module that is not of this package.

    In the form that records use for outside code, `sha256:` and twelve digits.
    """
    found = {}
    for name in modules:
        module = None if name.partition(".")[0] == _PACKAGE else sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if file is not None:
            found[name] = f"sha256:{hashlib.sha256(Path(file).read_bytes()).hexdigest()[:12]}"
    return found


# The path is where Python looks for packages: a test, or a user's own head, adds to it.
@functools.cache
def _places(
    what: str, folder: str, group: str, path: tuple[str, ...]
) -> dict[str, EntryPoint | None]:
    own = Path(str(importlib.import_module(folder).__file__)).parent
    found: dict[str, EntryPoint | None] = {
        file.stem: None for file in own.glob("*.py") if not file.stem.startswith("_")
    }
    for point in entry_points(group=group):
        if not is_name(point.name):
            raise UserError(
                f"{what} {point.name!r}, entry point {point.value!r}: lowercase letters, digits "
                "and underscores make a name"
            )
        if point.name in found:
            other = found[point.name]
            raise UserError(
                f"{what} {point.name!r} is declared twice: by entry point {point.value!r} and by "
                f"{f'entry point {other.value!r}' if other else _PACKAGE}; rename one"
            )
        found[point.name] = point
    return found


def _load(point: EntryPoint, what: str, declaration: type[T]) -> T:
    where = f"{what} {point.name!r}, entry point {point.value!r}"
    try:
        found = point.load()
    except UserError:
        raise
    except Exception as error:  # other people's code may fail in any way
        raise UserError(f"{where}: cannot be imported: {printable_line(error)}") from error
    if not isinstance(found, declaration):
        raise UserError(f"{where}: is not a {declaration.__name__}; see docs/your_metric.md")
    if found.name != point.name:
        raise UserError(f"{where}: calls itself {found.name!r}; give both the same name")
    return found
