"""The command line: one command for each arrow of the pipeline, and a few around it.

The commands are in `commands/`.
"""

import logging
import sys
from collections.abc import Callable

import typer

from pointrend_repro.commands import data, models, pipeline
from pointrend_repro.errors import UserError

_COMMANDS: list[Callable[..., None]] = [
    pipeline.train,
    pipeline.predict,
    pipeline.evaluate,
    pipeline.cost,
    pipeline.figure,
    pipeline.collect,
    pipeline.report,
    models.convert,
    models.demo,
]

app = typer.Typer(
    help="PointRend: Image Segmentation as Rendering, from raw data to finished tables.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(data.app, name="data")
for _command in _COMMANDS:
    app.command()(_command)


def main() -> None:
    """Run the command line; a user's error is one line on stderr and exit code 2."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        app()
    except UserError as error:
        print(f"pointrend-repro: error: {error}", file=sys.stderr)
        sys.exit(2)
