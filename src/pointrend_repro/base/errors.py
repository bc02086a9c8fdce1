"""Errors that a user can fix, and the end of a run that only has to be continued."""

import difflib
from pathlib import Path

# Characters of what a file or a library says.
_LONGEST = 300


class UserError(Exception):
    """A wrong input, setting or machine, described in one line.

    The message names the file or the key that is wrong and says what to do about it. The command
    line prints it without a traceback and exits with 2.

    Attributes:
        is_of_one_rank: of processes that work together, only this one has it.
    """

    exit_code = 2
    is_of_one_rank = False


class UnreadError(UserError):
    """This process cannot read a file now, which says nothing of what is in it."""


class UnwrittenError(UserError):
    """This machine cannot write a file now, whatever is to be written."""


class OtherRunError(UserError):
    """A result is of other trials or data sets than are asked for; nothing is wrong with it."""


class DamagedError(UserError):
    """A result is not what its step wrote; the pipeline step that finds it moves it aside.

    Attributes:
        problem: what is wrong, without advice.
        files: the ones that Snakemake remakes once they are gone.
    """

    def __init__(self, problem: str, files: tuple[Path, ...], advice: str = "") -> None:
        super().__init__(f"{problem}; {advice}" if advice else problem)
        self.problem = problem
        self.files = files


class StoppedBySignal(Exception):  # noqa: N818
    """A training that was asked to stop has saved its state; the same command continues it.

    The command line prints it and exits with 75, `EX_TEMPFAIL` of sysexits.h.
    """

    exit_code = 75

    def __init__(self, signal_name: str, iteration: int) -> None:
        super().__init__(
            f"stopped by {signal_name} after iteration {iteration}; run again to continue"
        )


def suggest(name: str, names: list[str]) -> str:
    """Return the end of a message about an unknown name: what was meant, or what there is."""
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there are: {', '.join(names)}" if 0 < len(names) <= 30 else ""


def printable_line(said: object) -> str:
    """Return what a file or a library says as part of one line, without terminal control codes."""
    line = " ".join(str(said)[:_LONGEST].split())
    return "".join(c if c.isprintable() else "?" for c in line)
