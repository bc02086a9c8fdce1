"""Where the file of a name lies: in the folder of its kind, or in that of a paper.

Papers are found by their folders. What lies in a paper's folder has the paper's prefix before its
name wherever the names of all papers meet; in the paper's own files it needs none.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pointrend_repro.base.errors import UserError, suggest
from pointrend_repro.base.names import is_name, require_name
from pointrend_repro.config.folder import require_config
from pointrend_repro.config.papers import FOLDER, list_papers, load_about, prefix_of

Kind = Literal["preset", "variant", "dataset", "table", "scale"]

# Folders inside a paper's; the others are nobody's.
_OF_A_PAPER: dict[Kind, str] = {"variant": "models", "table": "tables"}


@dataclass(frozen=True)
class Found:
    """A file of `config/`.

    Attributes:
        name: by which it is known among those of all papers.
        paper: in whose folder it lies; None if in none.
    """

    name: str
    path: Path
    paper: str | None

    @property
    def shown(self) -> str:
        """The file below `config/`, for errors about what several files say together."""
        return "/".join(self.path.parts[-(2 if self.paper is None else 4) :])


def find(kind: Kind, name: str, config_dir: Path, *, paper: str | None = None) -> Found:
    """Return the file of a name.

    Args:
        paper: whose file says the name, if one does: its own names come first.

    Raises:
        UserError: there is none, or there are two; the message names both, or the nearest.
    """
    files = files_of(kind, config_dir)
    require_name(name, kind, list(files))
    if paper is not None:
        name = own_names(kind, config_dir, paper=paper).get(name, name)
    if name in files:
        return files[name]
    hint = suggest(name, list(files))
    if kind == "dataset" and "did you mean" not in hint:
        hint = (
            f"; `pointrend-repro data check FOLDER --name {name} --write` makes it of a "
            "folder of yours (docs/your_data.md)"
        )
    raise UserError(f"there is no {kind} {name!r} in {_searched(kind, config_dir)}{hint}")


def own_names(kind: Kind, config_dir: Path, *, paper: str) -> dict[str, str]:
    """Return what the names that a paper's own files need no prefix for are among those of all."""
    prefix = prefix_of(paper, load_about(paper, config_dir))
    files = files_of(kind, config_dir)
    own = [name for name, found in files.items() if found.paper == paper]
    return {name.removeprefix(prefix): name for name in own}


def files_of(kind: Kind, config_dir: Path) -> dict[str, Found]:
    """Return all files of a kind by the names that they have among those of all papers.

    Raises:
        UserError: two have the same, or there is no `config/`.
    """
    require_config(config_dir)
    found: dict[str, Found] = {}
    for each in _all(kind, config_dir):
        other = found.setdefault(each.name, each)
        if other is not each:
            raise UserError(f"{other.path} and {each.path} are both {kind} {each.name!r}")
    return dict(sorted(found.items()))


def _all(kind: Kind, config_dir: Path) -> list[Found]:
    found = [Found(p.stem, p, None) for p in _yaml_in(config_dir / f"{kind}s")]
    if kind in _OF_A_PAPER:
        for paper in list_papers(config_dir):
            prefix = prefix_of(paper, load_about(paper, config_dir))
            paths = _yaml_in(config_dir / FOLDER / paper / _OF_A_PAPER[kind])
            found += [Found(prefix + path.stem, path, paper) for path in paths]
    return found


def _yaml_in(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.yaml")) if is_name(path.stem)]


def _searched(kind: Kind, config_dir: Path) -> str:
    folder = str(config_dir / f"{kind}s")
    papers = config_dir / FOLDER / "*"
    return f"{folder} or {papers / _OF_A_PAPER[kind]}" if kind in _OF_A_PAPER else folder
