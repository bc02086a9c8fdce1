"""Which of this package's code made a result: the modules that its process had loaded.

A record names the modules and has one digest of their files. Taking the digest of the same files
today shows whether the code that the result ran through has changed, whatever else has. That is
enough: a module that one of the named modules uses was imported by it and so is named itself, and
for a named module to use another one, its own file has to change.

The limits: an import that depends on data and happens later is missed. A plug-in head and an
installed detectron2 are in the record's `versions`, with digests and versions of their own; when a
new module is added to a folder whose modules are found by listing it, results that do not use it
rightly stay valid. The list holds what was loaded, not what was called, so commands import no more
than they need. A worker process of the data loader runs functions that the main process pickled for
it, from modules that are therefore loaded there; below `training/` no function imports a module of
this package that the main process has not loaded (a test checks that).

A step of days may end in another working copy than it began in. So each file is kept in memory, a
megabyte in all, as it was when a record first saw its module, and the digest is of that.
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
    """Return the package's modules that this process has loaded, except those that only display."""
    names = [name for name in sys.modules if name.partition(".")[0] == _PACKAGE]
    return sorted(name for name in names if not _only_shows(_file_of(name, PACKAGE_DIR)))


# The code of this process: module name -> its file as it was when a record first saw the module.
_code_that_runs: dict[str, bytes] = {}


def note_loaded_modules() -> list[str]:
    """Keep the files of the modules loaded since the last call, and return all `loaded_modules`."""
    names = loaded_modules()
    for name in names:
        if name not in _code_that_runs:
            _code_that_runs[name] = _content(PACKAGE_DIR / _file_of(name, PACKAGE_DIR))
    return names


def running_digest(modules: Iterable[str]) -> str:
    """Return the `modules_digest` of the code that this process runs, whatever has come since.

    A module that it has not loaded counts with its file of today.
    """
    files = {name: _file_of(name, PACKAGE_DIR) for name in sorted(modules)}
    return _digest_of(
        (file, _code_that_runs.get(name) or _content(PACKAGE_DIR / file))
        for name, file in files.items()
    )


def changed_since_loaded() -> list[str]:
    """Return the modules whose files are no longer those that this process runs."""
    return sorted(
        name
        for name, content in _code_that_runs.items()
        if content != _content(PACKAGE_DIR / _file_of(name, PACKAGE_DIR))
    )


def modules_digest(modules: Iterable[str], package_dir: Path = PACKAGE_DIR) -> str:
    """Return twelve hex digits of the files of modules; they change if one of them is gone."""
    return _digest([_file_of(name, package_dir) for name in sorted(modules)], package_dir)


def package_digest(package_dir: Path = PACKAGE_DIR) -> str:
    """Return twelve hex digits of all Python files that a number can depend on.

    Records from before modules were named have this digest. Code that only displays numbers or
    passes settings on is left out.
    """
    files = [path.relative_to(package_dir) for path in sorted(package_dir.rglob("*.py"))]
    return _digest([file for file in files if not _only_shows(file)], package_dir)


def _digest(files: Iterable[Path], package_dir: Path) -> str:
    return _digest_of((file, _content(package_dir / file)) for file in files)


def _digest_of(files: Iterable[tuple[Path, bytes]]) -> str:
    sha = hashlib.sha256()
    for file, content in files:
        sha.update(f"{file}\0".encode() + content)
    return sha.hexdigest()[:12]


def _content(path: Path) -> bytes:
    """Return what a digest takes of a file: nothing if there is none."""
    return path.read_bytes() + b"\0" if path.is_file() else b""


def _file_of(module: str, package_dir: Path) -> Path:
    """Return where a module lies in the package, whether or not it is there."""
    folder = Path(*module.split(".")[1:])
    if (package_dir / folder / "__init__.py").is_file():
        return folder / "__init__.py"
    return folder.with_suffix(".py") if folder.name else folder / "__init__.py"


def _only_shows(file: Path) -> bool:
    return any(file.is_relative_to(part) for part in _SHOWS_NUMBERS_ONLY)
