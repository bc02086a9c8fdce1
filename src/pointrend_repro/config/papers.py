"""A paper: what it is called, how it trains, and which names its folder gives to everybody."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from pointrend_repro.base.errors import UserError, suggest
from pointrend_repro.base.names import Name, is_name, require_name
from pointrend_repro.base.texts import Text
from pointrend_repro.config.folder import CONFIG_DIR, require_config
from pointrend_repro.config.recipes import read_recipe
from pointrend_repro.config.yaml_files import read_yaml, validate
from pointrend_repro.settings.of_family import Recipe
from pointrend_repro.settings.values import Strict

FOLDER = "papers"
PROTOCOL = "protocol.yaml"

# By what a data set stands for in the paper's tables, and by the recipe that a variant names.
Protocol = dict[str, dict[str, Recipe]]


def _begins_names(prefix: str) -> str:
    if prefix and not is_name(prefix):
        raise ValueError(f"{prefix!r} does not begin a name")
    return prefix


class PaperFile(Strict):
    """`paper.yaml`: what the report calls the paper, and what of its folder is filled."""

    title: Text
    short_title: Text = Field(description="before the number of a table, where papers are mixed")
    authors: Text
    venue: Text | None = None
    arxiv: Text | None = Field(None, description="such as 1912.08193")
    prefix: Annotated[str, AfterValidator(_begins_names)] | None = Field(
        None,
        description="before the names of its tables, models, figures and claims wherever all "
        "papers' meet; none: the folder's name and an underscore",
    )
    tables: list[Name] = Field(
        description="all of its tables by their own names, as the page orders them"
    )


@dataclass(frozen=True)
class Paper:
    """A paper's folder, but for its models, tables, figures and claims."""

    name: str
    folder: Path
    about: PaperFile
    protocol: Protocol

    @property
    def tables(self) -> list[str]:
        """The names that its tables have among those of all papers."""
        return [self.public(table) for table in self.about.tables]

    def recipes_for(self, roles: Sequence[str]) -> dict[str, Recipe]:
        """Return the recipes for a data set that stands for these of the paper's tables.

        Raises:
            UserError: the paper trains on them differently.
        """
        known = [role for role in roles if role in self.protocol]
        for role in known[1:]:
            if self.protocol[role] != self.protocol[known[0]]:
                raise UserError(
                    f"{self.folder / PROTOCOL}: trains on {known[0]} and {role} differently, and "
                    "one data set stands for both; give that a `recipe` in its own file"
                )
        return self.protocol[known[0]] if known else {}

    def public(self, own_name: str) -> str:
        """Return what something of the paper's is called among that of all papers."""
        return prefix_of(self.name, self.about) + own_name


def prefix_of(name: str, about: PaperFile) -> str:
    """Return what stands before a paper's own names where all papers' meet."""
    return f"{name}_" if about.prefix is None else about.prefix


def list_papers(config_dir: Path = CONFIG_DIR) -> list[str]:
    """Return the papers that there are: each is a folder in `config/papers/`.

    Raises:
        UserError: there is no `config/`.
    """
    require_config(config_dir)
    folders = (config_dir / FOLDER).glob("*/")
    return sorted(folder.name for folder in folders if is_name(folder.name))


def paper_names(papers: str) -> list[str]:
    """Return the papers that a person has typed: names with commas between them, each once.

    Raises:
        UserError: one of them is no name.
    """
    names = [name.strip() for name in papers.split(",")] if papers else []
    if "" in names:
        raise UserError(f"papers {papers!r}: a comma stands without a name beside it; take it away")
    return list(dict.fromkeys(require_name(name, "paper") for name in names))


def load_about(name: str, config_dir: Path = CONFIG_DIR) -> PaperFile:
    """Read `config/papers/<name>/paper.yaml`.

    Raises:
        UserError: there is no such paper, or its file is wrong.
    """
    known = list_papers(config_dir)
    if require_name(name, "paper", known) not in known:
        raise UserError(
            f"there is no paper {name!r} in {config_dir / FOLDER}{suggest(name, known)}"
        )
    path = config_dir / FOLDER / name / "paper.yaml"
    return validate(PaperFile, read_yaml(path), str(path))


def load_paper(name: str, config_dir: Path = CONFIG_DIR) -> Paper:
    """Read a paper's folder.

    Raises:
        UserError: there is no such paper, one of its files is wrong, or a table is not listed in
            `paper.yaml`, or is listed and is no file.
    """
    about, folder = load_about(name, config_dir), config_dir / FOLDER / name
    there = {path.stem for path in (folder / "tables").glob("*.yaml")}
    for table in sorted(there ^ set(about.tables)):
        wrong = "is not listed" if table in there else "is listed, but is no file"
        raise UserError(f"{folder}/paper.yaml: tables: tables/{table}.yaml {wrong}")
    path = folder / PROTOCOL
    return Paper(name, folder, about, read_protocol(path) if path.exists() else {})


def read_protocol(path: Path) -> Protocol:
    """Read a `protocol.yaml`: recipes by what a data set stands for and by their names.

    Raises:
        UserError: it is wrong; the message names the recipe.
    """
    protocol: Protocol = {}
    for role, recipes in read_yaml(path).items():
        require_name(str(role), f"{path}: data set")
        if not isinstance(recipes, dict):
            raise UserError(f"{path}: {role}: must be a mapping of recipes")
        protocol[role] = {
            require_name(str(name), f"{path}: {role}: recipe"): read_recipe(
                values, f"{path}: {role}.{name}"
            )
            for name, values in recipes.items()
        }
    return protocol
