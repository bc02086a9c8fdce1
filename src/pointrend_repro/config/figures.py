"""The figures of papers, and what the page moves: `config/papers/<paper>/figures.yaml`.

A public name is the paper's prefix and the name in its file, since every paper has a Figure 2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pointrend_repro.base.errors import UserError, suggest
from pointrend_repro.base.names import Name, require_name
from pointrend_repro.base.texts import Text
from pointrend_repro.config.drawings import Drawing, find_drawing
from pointrend_repro.config.finding import own_names
from pointrend_repro.config.metrics import MetricName
from pointrend_repro.config.papers import FOLDER, list_papers, load_about, prefix_of
from pointrend_repro.config.yaml_files import read_yaml, validate
from pointrend_repro.settings.values import Strict

# What the page plots of numbers; it is of no paper, and no model is needed for it.
PLOTTED = ("curves", "costs")


class ShownScore(Strict):
    """A metric of a variant's predictions, or a count of its models, that a figure plots."""

    variant: Name
    inference: Name
    metric: MetricName
    label: Text = Field(description="in the plot")


class Figure(Strict):
    """One figure: what draws it, from which trained models on whose images, or of which scores."""

    draw: Annotated[str, Field(pattern=r"^[\w.]+(:\w+)?$")] = Field(
        description="a drawing module of this paper, <paper>.<module> of another, module:function, "
        "or an entry point in the group pointrend_repro.figures"
    )
    models: dict[Name, Name] = Field(
        {}, description="the part that a model plays in the drawing -> the variant"
    )
    scores: dict[Name, ShownScore] = Field({}, description="what a plot shows, in its order")
    datasets: dict[Name, Name] = Field(
        {}, description="what a plot of data compares: any part -> the tables' data set"
    )
    role: Name = Field(description="the tables' data set whose images it shows, or are scored")
    title: Text | None = Field(None, description="none: the drawing's own")
    caption: Text | None = Field(None, description="none: the drawing's own")
    options: dict[Name, Any] = Field({}, description="keyword arguments of the drawing")

    @model_validator(mode="after")
    def _shows_models_or_scores(self) -> "Figure":
        if bool(self.models) + bool(self.scores) + bool(self.datasets) != 1:
            raise ValueError("give either models or scores, or datasets")
        if self.datasets and self.role not in self.datasets.values():
            raise ValueError(f"role {self.role}: is none of its datasets")
        return self


class PagePicture(Figure):
    """One picture that the page moves."""

    template: Literal["comparison", "subdivision", "validation"] = Field(
        description="of reporting/pictures/, which shows it"
    )


class FiguresFile(Strict):
    """What one paper's `figures.yaml` holds."""

    figures: dict[Name, Figure] = {}
    pictures: dict[Name, PagePicture] = Field({}, description="of the page alone")


_BESIDE = {"title", "caption", "options", "scores", "datasets"}


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
        kinds = {"scores": found.metrics, "datasets": found.checked, "models": found.models}
        needs = next(kind for kind, declared in kinds.items() if declared)
        if not getattr(self.entry, needs):
            raise UserError(f"{self.where}: {self.entry.draw} needs {needs}")
        for part, score in self.entry.scores.items():
            if score.metric not in found.metrics:
                raise UserError(
                    f"{self.where}: scores: {part}: {self.entry.draw} plots no {score.metric}, but "
                    f"{', '.join(found.metrics)}"
                )
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
        said = self.entry.model_dump(mode="json", include=_BESIDE)
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


def load_figures(config_dir: Path) -> Figures:
    """Read the `figures.yaml` of every paper that has one.

    Raises:
        UserError: a file is wrong, or two papers give the same public name.
    """
    found = Figures({}, {})
    for paper in list_papers(config_dir):
        path = config_dir / FOLDER / paper / "figures.yaml"
        if path.exists():
            content = validate(FiguresFile, read_yaml(path), str(path))
            prefix = prefix_of(paper, load_about(paper, config_dir))
            variants = own_names("variant", config_dir, paper=paper)
            for known, entries in (
                (found.figures, content.figures),
                (found.pictures, content.pictures),
            ):
                for name, entry in entries.items():
                    of_all = _with_names_of_all(entry, variants)
                    _add(known, PaperFigure(paper, name, prefix + name, f"{path}: {name}", of_all))
    return found


def _with_names_of_all(entry: Figure, variants: Mapping[str, str]) -> Figure:
    models = {part: variants.get(v, v) for part, v in entry.models.items()}
    scores = {
        part: score.model_copy(update={"variant": variants.get(score.variant, score.variant)})
        for part, score in entry.scores.items()
    }
    return entry.model_copy(update={"models": models, "scores": scores})


def _add(known: dict[str, PaperFigure], figure: PaperFigure) -> None:
    name = require_name(figure.public_name, f"{figure.where}: figure")
    if name in known or name in PLOTTED:
        other = known[name].where if name in known else "a plot of the page"
        raise UserError(f"{figure.where}: {name!r} is the name of {other}, too")
    known[name] = figure


def _known(name: str, kind: str, known: dict[str, PaperFigure]) -> PaperFigure:
    if name not in known:
        raise UserError(f"there is no {kind} {name!r}{suggest(name, list(known))}")
    return known[name]
