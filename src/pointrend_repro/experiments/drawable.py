"""Whether a preset's figures and pictures can be drawn, asked before anything runs."""

from typing import Any

from pointrend_repro.base.errors import UserError, suggest
from pointrend_repro.config.figures import PLOTTED, PaperFigure
from pointrend_repro.experiments.grid import Grid
from pointrend_repro.experiments.shown import datasets_shown, scores_shown, trainings_shown


def require_drawable(grid: Grid) -> None:
    """Check every figure and picture that a preset names.

    Raises:
        UserError: there is none of that name, its drawing does not take what it is given, or a
            model is not among the preset's or is of another kind than the drawing needs.
    """
    named = {
        "figure": (grid.preset.figures, grid.drawn.figures),
        "picture": (grid.drawn_pictures, grid.drawn.pictures),
    }
    for kind, (names, known) in named.items():
        plotted = PLOTTED if kind == "picture" else ()
        for name in names:
            if name not in known:
                hint = suggest(name, [*known, *plotted])
                raise UserError(f"presets/{grid.name}.yaml: there is no {kind} {name!r}{hint}")
            require_models(grid, known[name])


def require_models(grid: Grid, figure: PaperFigure) -> None:
    """Check that a preset has the models, or the scores, that a figure or picture needs.

    Raises:
        UserError: there is no such drawing, a model is not among the preset's, or it is of another
            kind than the drawing needs.
    """
    drawing = figure.drawing
    scores_shown(grid, figure)
    datasets_shown(grid, figure)
    for part, needed in drawing.models.items():
        variant = trainings_shown(grid, figure)[part].variant
        lacking = _lacking(grid.variants[variant].model.model_dump(), needed)
        if lacking:
            raise UserError(
                f"{figure.where}: models: {part}: {figure.entry.draw} needs a model with "
                f"{lacking}, which {grid.variant_files[variant]} has not"
            )


def _lacking(settings: dict[str, Any], needed: list[str]) -> str:
    """Return the first of `decoder`, `mask_head.kind=pointrend` and the like that is not so."""
    for setting in needed:
        path, _, value = setting.partition("=")
        found: Any = settings
        for key in path.split("."):
            found = found.get(key) if isinstance(found, dict) else None
        none = found is None or found == {"kind": "none"}
        if none or (value and str(found) != value):
            return setting
    return ""
