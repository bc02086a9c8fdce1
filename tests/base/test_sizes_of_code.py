"""One idea a file, one a function: both stay as long as can be read at once."""

import ast
from collections.abc import Iterator
from pathlib import Path

from pointrend_repro.base.own_code import PACKAGE_DIR

LINES_OF_A_FILE = 250
LINES_OF_A_FUNCTION = 50


def too_long(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*.py")):
        text, name = path.read_text(), path.relative_to(folder)
        lines = len(text.splitlines())
        if lines > LINES_OF_A_FILE:
            yield f"{name}: {lines} lines"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > LINES_OF_A_FUNCTION:
                    yield f"{name}: {node.name}: {lines} lines"


def test_no_file_and_no_function_is_too_long() -> None:
    assert list(too_long(PACKAGE_DIR)) == []


def test_what_is_too_long_is_found(tmp_path: Path) -> None:
    rows = ["    x = 1"] * LINES_OF_A_FUNCTION
    (tmp_path / "file.py").write_text("# a line\n" * (LINES_OF_A_FILE + 1))
    (tmp_path / "function.py").write_text("\n".join(["async def f():", *rows]))
    (tmp_path / "fits.py").write_text("\n".join(["def f():", *rows[1:]]))
    assert list(too_long(tmp_path)) == ["file.py: 251 lines", "function.py: f: 51 lines"]
