"""Code named by a configuration: `module:name`, or an entry point of an installed package."""

import importlib
import sys
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from pointrend_repro.base.errors import UserError, suggest


@dataclass(frozen=True)
class NamedCode:
    """Where the code lies that a configuration names.

    Attributes:
        said: what it is and its name, as messages begin: `mask head 'a.b:C'`.
    """

    said: str
    module: str
    attribute: str

    def load(self) -> Any:
        """Import the module and return the named object.

        Raises:
            UserError: there is no such module, it needs one that is missing, or it lacks the name.
        """
        module = self._import()
        found = getattr(module, self.attribute, None)
        if found is None:
            public = [key for key in vars(module) if not key.startswith("_")]
            hint = suggest(self.attribute, public)
            raise UserError(f"{self.said}: {module.__file__} has no {self.attribute!r}{hint}")
        return found

    def source(self) -> Path:
        """Return the module's file, without importing anything.

        Raises:
            UserError: there is no such module, or it is not a Python file.
        """
        _look_here_too()
        places, spec = None, None
        parts = self.module.split(".")
        for depth in range(len(parts)):
            name = ".".join(parts[: depth + 1])
            specs = (finder.find_spec(name, places) for finder in sys.meta_path)
            spec = next((found for found in specs if found), None)
            if spec is None:
                raise self._is_missing()
            places = spec.submodule_search_locations or []
        if spec is None or not str(spec.origin).endswith(".py"):
            raise UserError(f"{self.said}: module {self.module!r} is not a Python file")
        return Path(str(spec.origin))

    def _import(self) -> ModuleType:
        _look_here_too()
        try:
            return importlib.import_module(self.module)
        except ModuleNotFoundError as error:
            missing = error.name or self.module
            if self.module == missing or self.module.startswith(f"{missing}."):
                raise self._is_missing() from None
            raise UserError(f"{self.said}: needs module {missing!r}, which is missing") from None

    def _is_missing(self) -> UserError:
        return UserError(
            f"{self.said}: no module {self.module!r} in the installed packages or in {Path.cwd()}"
        )


def named_code(name: str, *, what: str, group: str) -> NamedCode:
    """Find where named code lies; nothing is imported.

    Args:
        name: `module:name`, or the name of an entry point.
        what: the kind of thing that is named, with which messages begin.
        group: the group of entry points.

    Raises:
        UserError: there is no such entry point.
    """
    said = f"{what} {name!r}"
    if ":" in name:
        module, attribute = name.split(":")
        return NamedCode(said, module, attribute)
    known = entry_points(group=group)
    if name not in known.names:
        raise UserError(
            f"{said}: is not an entry point of group {group} (there are: "
            f"{', '.join(sorted(known.names)) or 'none'}); others are named module:name"
        )
    return NamedCode(said, known[name].module, known[name].attr)


def _look_here_too() -> None:
    # At the end, so that a file of the current folder never stands in for an installed package.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
