"""Pages about the command line: what `--help` of each command prints."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from pointrend_repro.cli import app

PROGRAM = "pointrend-repro"
# Wide enough for most options on one line, narrow enough for a page.
_COLUMNS = {"COLUMNS": "92", "TERMINAL_WIDTH": "92", "NO_COLOR": "1"}


def commands() -> list[tuple[str, ...]]:
    """Return every command as its words, such as `("data", "check")`, groups before their own."""
    return list(_below(typer.main.get_command(app), ()))


def _below(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, each in sorted(getattr(command, "commands", {}).items()):
        yield (*words, name)
        yield from _below(each, (*words, name))


def help_of(words: tuple[str, ...]) -> str:
    """Return what a command prints for `--help`."""
    done = CliRunner().invoke(app, [*words, "--help"], prog_name=PROGRAM, env=_COLUMNS)
    if done.exit_code != 0:
        raise RuntimeError(f"{PROGRAM} {' '.join(words)} --help: {done.output}")
    return done.output.strip("\n")


def write_cli_pages(folder: Path) -> dict[str, str]:
    """Write a page for the program and one for each command; return their files by title."""
    folder.mkdir(parents=True)
    titles = {}
    for words in [(), *commands()]:
        title = " ".join([PROGRAM, *words])
        name = "_".join(words).replace("-", "_") or "index"
        text = f"# {title}\n\n```text\n{help_of(words)}\n```\n"
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
        titles[" ".join(words) or "all commands"] = f"{name}.md"
    return titles
