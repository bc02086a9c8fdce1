"""What is measured: one task, and several implementations ("sides") of it."""

import ast
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pointrend_repro.base.errors import UserError, suggest

BENCHMARKS_DIR = Path(__file__).resolve().parents[4] / "benchmarks"

# `tiny` is for tests, and to trigger what a library loads when it is first used.
Size = Literal["full", "tiny"]


class NotInstalled(Exception):  # noqa: N818
    """A side cannot be measured because its library is not installed; the message names it."""


@dataclass(frozen=True)
class Case:
    """One task and the sides that perform it.

    Attributes:
        settings: what is measured, as JSON values.
        sides: for each name, a function that prepares the side and returns the function to
            measure. The first one is ours, with which the others are compared. Preparing may raise
            `NotInstalled`.
        compare: how the outputs of ours and of another side differ, as named numbers.

    Raises:
        AssertionError: from `compare`, if outputs differ too much to be of the same task.
    """

    settings: dict[str, Any]
    sides: Mapping[str, Callable[[], Callable[[], Any]]]
    compare: Callable[[Any, Any], dict[str, float]]


def choose_cases(names: list[str] | None, folder: Path = BENCHMARKS_DIR) -> list[str]:
    """Return the names of existing cases: the given ones, or all.

    Raises:
        UserError: one of them does not exist, or there are none at all.
    """
    there = sorted(p.stem for p in (folder / "cases").glob("*.py") if p.stem != "__init__")
    if not there:
        raise UserError(
            f"{folder / 'cases'}: no benchmarks here; they are in a checkout of the repository"
        )
    for name in names or []:
        if name not in there:
            raise UserError(f"there is no benchmark {name!r}{suggest(name, there)}")
    return names or there


def describe_case(name: str, folder: Path = BENCHMARKS_DIR) -> str:
    """Return the first line of a case's docstring."""
    text = ast.get_docstring(ast.parse(_path(name, folder).read_text(encoding="utf-8")))
    return (text or "").partition("\n")[0]


def make_case(name: str, size: Size, device: str, folder: Path = BENCHMARKS_DIR) -> Case:
    """Make the case that a file of `folder / "cases"` describes."""
    root = str(folder.parent)
    if root not in sys.path:  # cases share `benchmarks.yardstick` and `benchmarks.inputs`
        sys.path.insert(0, root)
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", _path(name, folder))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    case: Case = module.make(size, device)
    return case


def _path(name: str, folder: Path) -> Path:
    return folder / "cases" / f"{name}.py"
