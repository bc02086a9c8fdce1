"""How `--help` looks: commands by what a person wants, each with examples; `-h` says the same.

Typer's own grouping needs rich, whose import would double the time of `--help`.
"""

import re
import textwrap
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from pointrend_repro.commands.examples import EXAMPLES

HELP_OPTIONS: dict[str, Any] = {"help_option_names": ["-h", "--help"]}


class Command(TyperCommand):
    """A command that shows examples, and that tells of all missing options at once."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line.

        Raises:
            typer.BadParameter: as Typer's own, if one option is missing or a value is wrong.
        """
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            missing = self._missing(ctx, given)
            if len(missing) < 2 or error.param not in missing:
                raise
            names = (param.get_error_hint() for param in missing)
            return ctx.fail(f"Missing {', '.join(names)}.")

    def _missing(self, ctx: Any, args: list[str]) -> list[Any]:
        values, _, _ = self.make_parser(ctx).parse_args(args=args)
        return [p for p in self.get_params(ctx) if p.required and not values.get(p.name)]

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples below the options."""
        lines = EXAMPLES.get(ctx.command_path.partition(" ")[2], ())
        if lines:
            with formatter.section("Examples"):
                for line in lines:
                    formatter.write(_wrapped(line, formatter.current_indent, formatter.width))


def _wrapped(command: str, indent: int, width: int) -> str:
    """Return a command on as many lines as it needs, to be pasted as they are."""
    # An option and its value stay on one line.
    tied = re.sub(r"(--?\w\S*) (?!-)", "\\1\0", command)
    lines = textwrap.wrap(
        tied,
        width - 2,  # for the backslash
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 4),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return " \\\n".join(lines).replace("\0", " ") + "\n"


class Group(TyperGroup):
    """Commands under headings."""

    headings: dict[str, list[str]] = {}

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the names of all commands, and the beginning of what each does."""
        width = max(len(name) for name in self.commands)
        for heading, names in self.headings.items():
            rows = [
                (
                    f"{name:{width}}",
                    self.commands[name].get_short_help_str(formatter.width - 6 - width),
                )
                for name in names
            ]
            with formatter.section(heading):
                formatter.write_dl(rows)
