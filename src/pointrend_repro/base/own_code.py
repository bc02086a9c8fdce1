"""Which of this package's code has made a result: the modules that its process had loaded.

A record names the modules and has a digest over exactly their files. Whoever compares takes the
digest of the same files today: if it is equal, nothing that the result ran through has changed,
whatever else has. That is enough, since a module that is used by one of the named ones must have
been imported by it, and so is named itself; for a named one to use another, its own file has to
change.

The limits: what is imported because of data is not seen if it comes later. A plug-in head and a
detectron2 that is installed are in the record's `versions`, with digests and versions of their own;
of modules that are found by looking into a folder, a result that uses none of the new ones is
rightly left alone. The list holds what was loaded, not what was called, so commands import what
they need and no more. A process that a loader of images starts runs functions of modules that the
main process has pickled for it, hence has loaded; below `training/` no function imports a module of
this package that the main process has not (a test sees to that).
"""

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path

PACKAGE_DIR = Path(__file__).resolve().parents[1]

_PACKAGE = PACKAGE_DIR.name

_SHOWS_NUMBERS_ONLY = (
    "commands",
    "figures",
    "papers",
    "reporting",
    "tools",
    "cli.py",
    "pipeline/planning",
    "pipeline/resources.py",
    "pipeline/workflow.py",
)


def loaded_modules() -> list[str]:
    """Return the package's modules that this process has loaded, but for what shows numbers."""
    names = [name for name in sys.modules if name.partition(".")[0] == _PACKAGE]
    return sorted(name for name in names if not _only_shows(_file_of(name, PACKAGE_DIR)))


def modules_digest(modules: Iterable[str], package_dir: Path = PACKAGE_DIR) -> str:
    """Return twelve hex digits over the files of modules; they change if one is there no more."""
    return _digest([_file_of(name, package_dir) for name in sorted(modules)], package_dir)


def package_digest(package_dir: Path = PACKAGE_DIR) -> str:
    """Return twelve hex digits over all Python files that a number can depend on.

    Records from before modules were named have this digest. What only shows numbers, or passes
    settings on, is left out.
    """
    files = [path.relative_to(package_dir) for path in sorted(package_dir.rglob("*.py"))]
    return _digest([file for file in files if not _only_shows(file)], package_dir)


def _digest(files: Iterable[Path], package_dir: Path) -> str:
    sha = hashlib.sha256()
    for file in files:
        path = package_dir / file
        content = path.read_bytes() + b"\0" if path.is_file() else b""
        sha.update(f"{file}\0".encode() + content)
    return sha.hexdigest()[:12]


def _file_of(module: str, package_dir: Path) -> Path:
    """Return where a module lies in the package, whether it is there or not."""
    folder = Path(*module.split(".")[1:])
    if (package_dir / folder / "__init__.py").is_file():
        return folder / "__init__.py"
    return folder.with_suffix(".py") if folder.name else folder / "__init__.py"


def _only_shows(file: Path) -> bool:
    return any(file.is_relative_to(part) for part in _SHOWS_NUMBERS_ONLY)
