"""Imports the code that draws a figure, with the figure's options."""

from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

from pointrend_repro.base.errors import UserError
from pointrend_repro.base.provenance import record_file
from pointrend_repro.config.figures import PaperFigure
from pointrend_repro.figures.drawing import PageContent, Picture

T = TypeVar("T", Picture, PageContent)


def load_draw(figure: PaperFigure, kind: type[T]) -> Callable[..., T]:
    """Import the drawing function of a figure.

    Args:
        kind: the type that it must return.

    Returns:
        A function of the models by part and the data, or of the scores by part, which raises
        UserError if it returns another type.

    Raises:
        UserError: it cannot be imported, or an option has a wrong value.
    """
    drawing = figure.drawing
    function = drawing.code.load()
    if drawing.is_outside:
        record_file(drawing.code.module, drawing.file)
    options = _checked_options(figure, function)

    def draw(*shown: Any) -> T:
        drawn = function(*shown, **options)
        if not isinstance(drawn, kind):
            raise UserError(
                f"{figure.where}: {figure.entry.draw} returns no {kind.__name__} of "
                "figures/drawing.py, which this needs"
            )
        return drawn

    return draw


def _checked_options(figure: PaperFigure, function: Callable[..., Any]) -> dict[str, Any]:
    """Return a figure's options, converted to the types of the function's annotations."""
    hints, checked = get_type_hints(function), {}
    for name, value in figure.entry.options.items():
        try:
            checked[name] = TypeAdapter(hints.get(name, Any)).validate_python(value)
        except ValidationError as error:
            said = error.errors()[0]["msg"]
            raise UserError(f"{figure.where}: options: {name}: {said}") from None
    return checked
