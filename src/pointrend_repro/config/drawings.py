"""Drawing modules, found by the names that `figures.yaml` gives them, and read without being run.

A drawing is a module with a function `draw(models, dataset)`, whose keyword-only arguments are the
options that a figure may set. Its constant `MODELS` says, for each part that a model plays in it,
which settings that model must have: `{"baseline": ["mask_head"]}`. A plot of numbers has instead
the constant `SCORES`, the metrics that it knows, and its function is called with the scores alone.
A plot of data sets has `DATA`, what it reads of their checks, and gets what these have found.
All of this is read from the source, since a dry run imports neither torch nor matplotlib.
"""

import ast
import contextlib
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from pointrend_repro.base.errors import UserError, suggest
from pointrend_repro.base.named_code import NamedCode, named_code
from pointrend_repro.base.provenance import PACKAGE_DIR

T = TypeVar("T")

ENTRY_POINT_GROUP = "pointrend_repro.figures"
_PAPERS = PACKAGE_DIR / "papers"
_MODELS = TypeAdapter(dict[str, list[str]])
_NAMES = TypeAdapter(list[str])


@dataclass(frozen=True)
class Drawing:
    """A function that draws.

    Attributes:
        code: how it is imported.
        file: of its module.
        models: by part, the settings that its model must have, as `decoder` or
            `mask_head.kind=pointrend`.
        metrics: that a plot of numbers knows; none: it draws something else.
        checked: keys that a plot of data sets reads of `dataset.json`; none: likewise.
        options: names of those that a figure may set.
    """

    code: NamedCode
    file: Path
    models: dict[str, list[str]]
    options: list[str]
    metrics: tuple[str, ...] = ()
    checked: tuple[str, ...] = ()

    @property
    def is_outside(self) -> bool:
        """Whether its code is not of this package."""
        return not self.file.is_relative_to(PACKAGE_DIR)


def find_drawing(name: str, paper: str) -> Drawing:
    """Find the drawing that a figure of a paper names.

    Args:
        name: a module in the paper's room; `<paper>.<module>` in another's; `module:function`, or
            an entry point of the group `pointrend_repro.figures`, for one outside this package.

    Raises:
        UserError: there is none, or it does not say which models it needs.
    """
    if ":" not in name:
        room, _, module = name.rpartition(".")
        own = _PAPERS / (room or paper) / "figures" / f"{module}.py"
        if own.is_file():
            dotted = f"pointrend_repro.papers.{room or paper}.figures.{module}"
            return _read(NamedCode(f"drawing {name!r}", dotted, "draw"), own)
        known = sorted({*_own_drawings(paper), *entry_points(group=ENTRY_POINT_GROUP).names})
        if name not in known:
            raise UserError(
                f"there is no drawing {name!r}{suggest(name, known)}; one outside this package is "
                "named module:function"
            )
    code = named_code(name, what="drawing", group=ENTRY_POINT_GROUP)
    return _read(code, code.source())


def _own_drawings(paper: str) -> list[str]:
    """All drawings of this package, as a figure of a paper names them."""
    files = [
        file
        for file in _PAPERS.glob("*/figures/*.py")
        if any(f"\n{name}" in file.read_text() for name in ("MODELS", "SCORES", "DATA"))
    ]
    rooms = [(file.parents[1].name, file.stem) for file in files]
    return [module if room == paper else f"{room}.{module}" for room, module in rooms]


def _read(code: NamedCode, file: Path) -> Drawing:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{code.said}: {file}: is not Python: {error}") from None
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if code.attribute not in functions:
        hint = suggest(code.attribute, list(functions))
        raise UserError(f"{code.said}: {file} has no function {code.attribute!r}{hint}")
    models = _written(tree, "MODELS", _MODELS)
    metrics, checked = (_written(tree, name, _NAMES) for name in ("SCORES", "DATA"))
    if not (models or metrics or checked):
        raise UserError(
            f"{code.said}: {file} has no MODELS, written out as {{part: [setting, ...]}}, of the "
            "models that it draws, or SCORES, as [metric, ...], or DATA of checked data"
        )
    options = [argument.arg for argument in functions[code.attribute].args.kwonlyargs]
    known = tuple(metrics or ()), tuple(checked or ())
    return Drawing(code, file, models or {}, options, *known)


def _written(tree: ast.Module, name: str, kind: TypeAdapter[T]) -> T | None:
    """Return the value of a constant, which is written out: names and calls mean nothing here."""
    for node in tree.body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=found)], value=ast.expr() as value)
                | ast.AnnAssign(target=ast.Name(id=found), value=ast.expr() as value)
            ) if found == name:
                with contextlib.suppress(ValueError, ValidationError):
                    return kind.validate_python(ast.literal_eval(value))
    return None
