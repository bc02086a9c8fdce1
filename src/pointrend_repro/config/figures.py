"""The figures of papers, and what the page moves: `config/papers/<paper>/figures.yaml`.

A public name is the paper's prefix and the name in its file, since every paper has a Figure 2.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from pointrend_repro.base.errors import UserError, suggest
from pointrend_repro.base.names import Name, require_name
from pointrend_repro.base.texts import Text
from pointrend_repro.config.drawings import Drawing, find_drawing
from pointrend_repro.config.reading import one_line, read_yaml
from pointrend_repro.settings.instances import Strict

# What the page plots of numbers; it is of no paper, and no model is needed for it.
PLOTTED = ("curves", "costs")


class Figure(Strict):
    """One figure: what draws it, from which trained models, on whose images."""

    draw: Annotated[str, Field(pattern=r"^[\w.]+(:\w+)?$")] = Field(
        description="a drawing module of this paper, <paper>.<module> of another, module:function, "
        "or an entry point in the group pointrend_repro.figures"
    )
    models: dict[Name, Name] = Field(
        min_length=1, description="the part that a model plays in the drawing -> the variant"
    )
    role: Name = Field(description="the tables' data set whose images it shows")
    title: Text | None = Field(None, description="none: the drawing's own")
    caption: Text | None = Field(None, description="none: the drawing's own")
    options: dict[Name, Any] = Field({}, description="keyword arguments of the drawing")


class PagePicture(Figure):
    """One picture that the page moves."""

    template: Literal["comparison", "subdivision"] = Field(
        description="of reporting/pictures/, which shows it"
    )


class FiguresFile(Strict):
    """What one paper's `figures.yaml` holds."""

    figures: dict[Name, Figure] = {}
    pictures: dict[Name, PagePicture] = Field({}, description="of the page alone")


@dataclass(frozen=True)
class PaperFigure:
    """A figure, or a picture of the page, with the paper that it is of.

    Attributes:
        name: in the paper's file; the public one has the paper's prefix.
        where: file and key, to begin messages with.
    """

    paper: str
    name: str
    public_name: str
    where: str
    entry: Figure

    @cached_property
    def drawing(self) -> Drawing:
        """What draws it.

        Raises:
            UserError: there is no such drawing, or it does not take these models or options.
        """
        try:
            found = find_drawing(self.entry.draw, self.paper)
        except UserError as error:
            raise UserError(f"{self.where}: {error}") from None
        given = self.entry.models
        for part in given:
            if part not in found.models:
                hint = suggest(part, list(found.models))
                raise UserError(f"{self.where}: {self.entry.draw} draws no model {part!r}{hint}")
        lacking = [part for part in found.models if part not in given]
        if lacking:
            raise UserError(f"{self.where}: models: {', '.join(lacking)} of {self.entry.draw} lack")
        for option in self.entry.options:
            if option not in found.options:
                hint = suggest(option, found.options)
                raise UserError(f"{self.where}: {self.entry.draw} has no option {option!r}{hint}")
        return found

    @property
    def beside_the_defaults(self) -> dict[str, Any]:
        """What its entry says beyond what it must: by this a finished one is known to be another.

        Which models it shows is known by their files.
        """
        said = self.entry.model_dump(mode="json", include={"title", "caption", "options"})
        said["draw"] = None if self.entry.draw == self.name else self.entry.draw
        return {key: value for key, value in said.items() if value}


@dataclass(frozen=True)
class Figures:
    """All figures and pictures of some papers, by their public names."""

    figures: dict[str, PaperFigure]
    pictures: dict[str, PaperFigure]

    def figure(self, name: str) -> PaperFigure:
        """Return the figure of a public name.

        Raises:
            UserError: there is none.
        """
        return _known(name, "figure", self.figures)

    def picture(self, name: str) -> PaperFigure:
        """Return the picture of a public name that is drawn from models.

        Raises:
            UserError: there is none.
        """
        return _known(name, "picture", self.pictures)


def load_figures(config_dir: Path, papers: Collection[str] | None = None) -> Figures:
    """Read `config/papers/*/figures.yaml`.

    Args:
        papers: names of the folders to read; none: all.

    Raises:
        UserError: a file is wrong, or two papers give the same public name.
    """
    found = Figures({}, {})
    for path in sorted(config_dir.glob("papers/*/figures.yaml")):
        paper = path.parent.name
        if papers is None or paper in papers:
            content, prefix = _read(path), _prefix(path.parent)
            _add(found.figures, content.figures, path, prefix)
            _add(found.pictures, content.pictures, path, prefix)
    return found


def _add(
    known: dict[str, PaperFigure], entries: Mapping[str, Figure], path: Path, prefix: str
) -> None:
    for name, entry in entries.items():
        public, where = require_name(prefix + name, "figure"), f"{path}: {name}"
        if public in known or public in PLOTTED:
            other = known[public].where if public in known else "a plot of the page"
            raise UserError(f"{where}: {public!r} is the name of {other}, too")
        known[public] = PaperFigure(path.parent.name, name, public, where, entry)


def _read(path: Path) -> FiguresFile:
    try:
        return FiguresFile.model_validate(read_yaml(path))
    except ValidationError as error:
        raise UserError(f"{path}: {one_line(error, FiguresFile)}") from None


def _prefix(folder: Path) -> str:
    """What begins a paper's public names: by its `paper.yaml`, or the folder's name."""
    path = folder / "paper.yaml"
    if not path.is_file():
        # PointRend's names are older than prefixes.
        return "" if folder.name == "pointrend" else f"{folder.name}_"
    return str(read_yaml(path).get("prefix", f"{folder.name}_"))


def _known(name: str, kind: str, known: dict[str, PaperFigure]) -> PaperFigure:
    if name not in known:
        raise UserError(f"there is no {kind} {name!r}{suggest(name, list(known))}")
    return known[name]
