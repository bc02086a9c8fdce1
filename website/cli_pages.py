"""Pages about the command line: what `--help` of each command prints."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from click.testing import CliRunner

from pointrend_repro.cli import app
from pointrend_repro.config.folder import CONFIG_DIR

PROGRAM = "pointrend-repro"
# As wide as on a terminal of the usual size, whatever this one's is.
_TERMINAL = {"COLUMNS": "80", "NO_COLOR": "1"}


def program() -> Any:
    """Return the command line as click has it, with defaults that are the same on all machines."""
    command = typer.main.get_command(app)
    for _, each in _below(command, ()):
        for parameter in each.params:
            default = parameter.default
            if isinstance(default, Path) and default.is_relative_to(CONFIG_DIR.parent):
                parameter.default = default.relative_to(CONFIG_DIR.parent)
    return command


def commands() -> list[tuple[str, ...]]:
    """Return every command as its words, such as `("data", "check")`, groups before their own."""
    return [words for words, _ in _below(typer.main.get_command(app), ())]


def _below(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, each in sorted(getattr(command, "commands", {}).items()):
        yield (*words, name), each
        yield from _below(each, (*words, name))


def help_of(command: Any, words: tuple[str, ...]) -> str:
    """Return what the program, or a command of it, prints for `--help`."""
    done = CliRunner().invoke(command, [*words, "--help"], prog_name=PROGRAM, env=_TERMINAL)
    if done.exit_code != 0:
        raise RuntimeError(f"{PROGRAM} {' '.join(words)} --help: {done.output}")
    return done.output.strip("\n")


def write_cli_pages(folder: Path) -> dict[str, str]:
    """Write a page for the program and one for each command; return their files by title."""
    folder.mkdir(parents=True)
    titles, command = {}, program()
    for words in [(), *commands()]:
        title = " ".join([PROGRAM, *words])
        name = "_".join(words).replace("-", "_") or "index"
        text = f"# {title}\n\n```text\n{help_of(command, words)}\n```\n"
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
        titles[" ".join(words) or "all commands"] = f"{name}.md"
    return titles
