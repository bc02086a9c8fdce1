"""The command line: one command for each arrow of the pipeline, and a few around it.

The commands are in `commands/`.
"""

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

import pointrend_repro
from pointrend_repro.base.errors import StoppedBySignal, UserError, printable_line
from pointrend_repro.commands import (
    bench,
    claims,
    compare,
    data,
    doctor,
    ensemble,
    figures,
    heads,
    models,
    pipeline,
    plan,
    proposing,
    scoring,
    segment,
    verify,
)
from pointrend_repro.commands.help import HELP_OPTIONS, Command, Group
from pointrend_repro.commands.own_clone import has_other_code, other_code_in_words

# What a person wants -> the commands for it.
_COMMANDS: dict[str, list[Callable[..., None] | typer.Typer]] = {
    "Find objects in pictures, and use models": [
        segment.segment,
        models.demo,
        models.convert,
        models.export,
        ensemble.ensemble,
    ],
    "Train on your own data (docs/your_data.md)": [data.app, heads.check_head],
    "Reproduce papers; snakemake runs these": [
        plan.plan,
        pipeline.train,
        pipeline.predict,
        proposing.propose,
        scoring.evaluate,
        scoring.evaluate_all,
        scoring.cost,
        figures.figure,
        figures.picture,
        figures.curves,
        pipeline.collect,
        claims.claims,
        pipeline.report,
        claims.evidence,
    ],
    "Look into machines and results": [
        doctor.doctor,
        verify.verify,
        compare.compare,
        bench.bench,
    ],
}


def _name(command: Callable[..., None] | typer.Typer) -> str:
    name = command.info.name if isinstance(command, typer.Typer) else command.__name__
    return str(name).replace("_", "-")


class _Group(Group):
    headings = {title: [_name(each) for each in group] for title, group in _COMMANDS.items()}


app = typer.Typer(
    cls=_Group,
    help="Find objects in pictures, train on your own, and reproduce papers, PointRend first.",
    context_settings=HELP_OPTIONS,
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
    if has_other_code(Path.cwd()):
        logging.getLogger(__name__).warning(other_code_in_words(Path.cwd()))


for _command in [each for group in _COMMANDS.values() for each in group]:
    if isinstance(_command, typer.Typer):
        app.add_typer(_command)
    else:
        app.command(cls=Command, context_settings=HELP_OPTIONS)(_command)


def main() -> None:
    """Run the command line; a user's error is one line on stderr and exit code 2.

    So is a full GPU. A training that a signal has stopped ends with one line and exit code 75.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        app()
    except UserError as error:
        # Of processes that train together on a machine, and have the same error, one tells it.
        if error.is_of_one_rank or os.environ.get("LOCAL_RANK", "0") == "0":
            print(f"pointrend-repro: error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except StoppedBySignal as stopped:
        print(f"pointrend-repro: {stopped}", file=sys.stderr)
        sys.exit(stopped.exit_code)
    except RuntimeError as error:
        # By its name: torch is imported by the commands that compute alone. Training tells more.
        if type(error).__name__ != "OutOfMemoryError":
            raise
        print(
            f"pointrend-repro: error: the GPU's memory does not suffice ({printable_line(error)}); "
            "nvidia-smi shows what else takes of it, and with `--device cpu` it is not needed",
            file=sys.stderr,
        )
        sys.exit(UserError.exit_code)
