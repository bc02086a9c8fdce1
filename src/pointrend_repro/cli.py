"""The command line: one command for each arrow of the pipeline, and a few around it.

The commands are in `commands/`.
"""

import logging
import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

import pointrend_repro
from pointrend_repro.base.errors import StoppedBySignal, UserError
from pointrend_repro.commands import (
    bench,
    claims,
    compare,
    data,
    ensemble,
    figures,
    heads,
    models,
    pipeline,
    plan,
    segment,
    verify,
)

_COMMANDS: list[Callable[..., None]] = [
    plan.plan,
    pipeline.train,
    pipeline.predict,
    pipeline.evaluate,
    pipeline.evaluate_all,
    pipeline.cost,
    figures.figure,
    figures.picture,
    figures.curves,
    pipeline.collect,
    claims.claims,
    claims.evidence,
    pipeline.report,
    ensemble.ensemble,
    compare.compare,
    verify.verify,
    models.convert,
    models.demo,
    segment.segment,
    models.export,
    heads.check_head,
    bench.bench,
]

app = typer.Typer(
    help="Reproduce papers, PointRend first, from raw data to finished tables.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _tell_version(asked: bool) -> None:
    if asked:
        print(f"pointrend-repro {pointrend_repro.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_tell_version, is_eager=True, help="print the version and exit"
        ),
    ] = False,
) -> None:
    pass


app.add_typer(data.app, name="data")
for _command in _COMMANDS:
    app.command()(_command)


def main() -> None:
    """Run the command line; a user's error is one line on stderr and exit code 2.

    A training that a signal has stopped ends with one line and exit code 75.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        app()
    except UserError as error:
        # Of processes that train together on a machine, and have the same error, one tells it.
        if os.environ.get("LOCAL_RANK", "0") == "0":
            print(f"pointrend-repro: error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except StoppedBySignal as stopped:
        print(f"pointrend-repro: {stopped}", file=sys.stderr)
        sys.exit(stopped.exit_code)
