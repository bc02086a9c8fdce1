"""The command that sets two results folders side by side."""

from pathlib import Path
from typing import Annotated

import typer

from pointrend_repro.commands.options import ConfigDir
from pointrend_repro.config.folder import CONFIG_DIR


def compare(
    a: Annotated[Path, typer.Argument(help="a folder results/<preset>")],
    b: Annotated[Path, typer.Argument(help="another one: of another machine, commit or engine")],
    output: Annotated[
        Path | None,
        typer.Option(help="a .html, .md or .csv file; - prints Markdown; none: prints tables"),
    ] = None,
    config_dir: ConfigDir = CONFIG_DIR,
) -> None:
    """Compare two results of one preset, cell by cell, and how they were made.

    Exit code: 0 if every cell is in both and within its column's tolerance, where that has one; 1
    if one is not, or a number is of no cell; 2 if the two cannot be compared, as where no cell is
    measured.
    """
    from rich.console import Console

    from pointrend_repro.reporting.comparison.comparing import compare as compare_sides
    from pointrend_repro.reporting.comparison.reading import read_sides
    from pointrend_repro.reporting.comparison.writing import (
        print_comparison,
        to_markdown,
        write_comparison,
    )

    comparison = compare_sides(*read_sides(a, b, config_dir))
    if output is None:
        print_comparison(comparison, Console())
    elif str(output) == "-":
        print(to_markdown(comparison), end="")
    else:
        write_comparison(comparison, output)
    if not comparison.agrees:
        raise typer.Exit(1)
