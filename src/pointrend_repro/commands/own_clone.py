"""Whether the code that runs is that of the clone that it runs in.

A clone that is copied with its `.venv` has the commands of the first one, which run the first one's
code: with the copy's configuration, and with the first one's commit in the records.
"""

from pathlib import Path

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.own_code import PACKAGE_DIR


def has_other_code(folder: Path, running: Path = PACKAGE_DIR) -> bool:
    """Return whether a folder is a clone, and the package that runs is not its own.

    That of an image or a wheel is as good as the clone's own while its files are the same. That of
    another clone never is: it may be edited, and has a commit of its own.

    Args:
        folder: that may be a clone.
        running: the package's folder.
    """
    own = folder / "src" / running.name
    if not (folder / "Snakefile").is_file() or not own.is_dir() or own.samefile(running):
        return False
    is_in_clone = (running.parents[1] / ".git").exists()
    return is_in_clone or _files(own) != _files(running)


def other_code_in_words(folder: Path, running: Path = PACKAGE_DIR) -> str:
    """Return in one line whose code runs in a clone that has its own, and what to do."""
    return (
        f"the package that runs is {running}, not that of the clone {folder.absolute()}; run "
        "`make setup` and begin PATH with its .venv/bin, or set PYTHONPATH=$PWD/src, in that clone"
    )


def require_own_code(clone: Path) -> None:
    """Refuse to run a clone's pipeline with another clone's code.

    Raises:
        UserError: the package is another one's; the message names both folders.
    """
    if has_other_code(clone):
        raise UserError(other_code_in_words(clone))


def _files(package: Path) -> dict[Path, bytes]:
    found = [path for ending in ("py", "j2") for path in package.rglob(f"*.{ending}")]
    return {path.relative_to(package): path.read_bytes() for path in found}
